"""Several targets in one game: the same messages for all, one report.

Built-ins alone draw from the committed key, which does not depend on the compressor. Where one of
the targets is a stranger, who could have read that key, all draw from the same fresh keys
(:class:`~kvbarrier.protocols.game.coins.Keyring`). Targets are played one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..compressors.catalog import is_builtin
from ..errors import BadInput, BudgetTooSmall, PluginFailure
from ..protocols.game.cell import target_name
from ..protocols.game.coins import Keyring
from ..protocols.players.template import held
from .attack import Attack, play
from .attack_report import Report, Unplayed, joined
from .results import Results
from .runner import Step


def play_several(
    plans: Sequence[Attack],
    *,
    store: Results | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    progress: Callable[[Step], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Report:
    """Play plans of one game, each of another target.

    A target that fails before any message, or fits into none of its budgets, does not stop the
    others: the report names it as unplayed.

    Raises BadInput, before anything is played, for a target that is not there or is named twice,
    and what ``attack.play`` raises if no target could be played.
    """
    targets = [plan.target for plan in plans]
    if len(set(targets)) != len(targets):
        raise BadInput("a target is named twice: name each once, or --sweep its parameters.")
    if len(targets) > 1:
        from ..compressors.targets import refuse_missing

        for target in targets:
            refuse_missing(target)
    ring = None if len(targets) == 1 or all(map(is_builtin, targets)) else Keyring()
    alike = {name for name, count in Counter(map(target_name, targets)).items() if count > 1}
    reports, unplayed = [], []
    with held():
        for plan in plans:
            try:
                report = play(
                    plan, store=store, workers=workers, cluster=cluster, progress=progress,
                    keyring=ring, announce=announce,
                )  # fmt: skip
            except (PluginFailure, BudgetTooSmall) as error:
                unplayed.append(Unplayed(plan.target, error))
            else:
                reports.append(_by_place(report) if target_name(plan.target) in alike else report)
    if not reports:
        raise unplayed[0].error
    return joined(reports, unplayed)


def _by_place(report: Report) -> Report:
    """The report with the whole path as the compressor's name: another's file has the same name."""

    def named(found: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
        return tuple({**one, "compressor": report.target} for one in found)

    return replace(
        report,
        points=named(report.points),
        gaps=tuple(replace(gap, compressor=report.target) for gap in report.gaps),
        together=named(report.together),
        engine=named(report.engine),
    )
