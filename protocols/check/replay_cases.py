"""A case is played again, as its kind is played, in fresh processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...errors import BadInput
from ..game.cell import target_name
from ..players.isolation import Limits
from .cases import Case, Replayed
from .check_cases import replay_check
from .game_cases import replay_game

_PLAYS: Mapping[str, Callable[[Case, str, str, Limits | None], Replayed]] = {
    "game": replay_game,
    "check": replay_check,
}


def replay_case(
    case: Case, target: str | None = None, isolation: str = "process", limits: Limits | None = None
) -> Replayed:
    """Play a case again in fresh processes.

    ``target`` is the place of a plug-in's file; without it the case's own name is looked for here.

    Raises:
        BadInput: the target is another one, or is not there; what ``play`` names does not exist.
        KVBarrierError: it cannot be built.
    """
    if target is not None and target_name(target) != case.target:
        raise BadInput(f"the case is of '{case.target}', not of '{target}': give its own target.")
    if target is None and ("/" in case.target or "\\" in case.target or ".." in case.target):
        raise BadInput(
            f"the case names '{case.target}', a path on this machine, but a case may hold only a "
            "name: if you trust that file, give its path as TARGET."
        )
    return _PLAYS[case.kind](case, target or case.target, isolation, limits)
