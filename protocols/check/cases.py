"""Counterexamples as small files that others can replay: ``kvbarrier check --case FILE``.

A case is JSON: a target, what to play, what was asked, what was expected and what came. It names no
path, so whoever replays a case of a plug-in has its file, and it holds no code. ``kind`` says how
it is played: ``game`` is a message of a game, a pure function of its cell, key and number;
``check`` is a law of an examination (``check_cases``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...compressors.plugin.declaration import Declaration
from ...errors import BadInput
from ..evidence.declared import Declared
from ..evidence.record import MessageRecord, Reading
from ..evidence.row_counts import text_of
from ..game.cell import Cell, cell_of, target_name
from ..game.coins import check_key
from ..game.declarations import hold_against
from ..game.index_game import read_message
from ..players.channel import MAX_MESSAGE_BYTES
from ..players.isolation import Limits
from .case import MARK, SCHEMA, Case, Replayed

_LONGEST = 1 << 20


def read_case(path: Path) -> Case:
    """Read a case file. Raises BadInput for a torn one, one of another schema, and anything else.

    Nothing of it is played or believed here: it may come from anybody.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): name a case file.") from None
    try:
        said = json.loads(data) if len(data) <= _LONGEST else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or MARK not in said:
        raise BadInput(f"{path} is not a case, or it is torn: give a file that kvbarrier wrote.")
    if said.pop(MARK) != SCHEMA:
        raise BadInput(f"{path} is a case of another version of kvbarrier: use that version.")
    try:
        case = Case(**said | {"declares": tuple(said["declares"])})
        _check(case)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path} is not a complete case ({error}): give the file as it was written."
        ) from None
    return case


def _check(case: Case) -> None:
    for name in ("kind", "target", "found"):
        if not isinstance(getattr(case, name), str):
            raise ValueError(f"{name} is not text")
    if not isinstance(case.play, dict) or not isinstance(case.versions, dict):
        raise ValueError("play and versions are not both objects")
    if not all(isinstance(word, str) for word in case.declares):
        raise ValueError("declares are no words")
    if case.kind not in KINDS:
        raise ValueError(f"this version cannot play the kind '{case.kind[:40]}'")
    Declaration.of_words(case.declares)


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
    return KINDS[case.kind](case, target or case.target, isolation, limits)


def find_case(
    cell: Cell,
    key: bytes,
    message: int,
    declaration: Declaration,
    *,
    isolation: str = "process",
    limits: Limits | None = None,
    versions: Mapping[str, str],
) -> Case | None:
    """Play one message alone, in fresh processes: the case it is, or None if it refutes nothing.

    Raises what ``play_batch`` raises.
    """
    reading = read_message(cell, key, message, isolation, limits)
    if isinstance(reading, str):
        return None
    judged = judge_reading(declaration, cell, reading)
    if judged.verdict != "not-as-declared":
        return None
    place = _place(judged, reading, cell)
    return Case(
        kind="game",
        target=target_name(cell.target),
        play={"cell": cell.spec(), "key": key.hex(), "message": message},
        declares=declaration.words(),
        versions=dict(versions),
        **place,
    )


def judge_reading(declaration: Declaration, cell: Cell, reading: Reading) -> Declared:
    """Hold a declaration against what was read of one message; of its memory nothing is known."""
    wrong = reading.wrong.reshape(len(reading.tokens), -1).sum(axis=1)
    nothing = (0,) * 16
    record = MessageRecord(nothing, nothing, 0, 0, None, wrong_by_row=text_of(wrong))
    return hold_against(declaration, cell.instance, [record], rows=[reading.tokens])


def _place(judged: Declared, reading: Reading, cell: Cell) -> dict[str, Any]:
    """What was asked, expected and answered at the first wrong bit that refutes."""
    wrong = reading.wrong
    if judged.places:
        row = int(np.flatnonzero(reading.tokens == judged.places[0].token)[0])
    else:
        row = int(wrong.reshape(len(wrong), -1).sum(axis=1).argmax())
    layer, head, bit = (int(i) for i in np.argwhere(wrong[row])[0])
    channel = bit // ((cell.instance.levels or 2).bit_length() - 1)
    token = int(reading.tokens[row])
    expected, read = (
        int(reading.secret[row, layer, head, bit]),
        int(reading.said[row, layer, head, bit]),
    )
    answered = (
        None if reading.answers is None else float(reading.answers[row, layer, head, channel])
    )
    came = f"{read} was read" if answered is None else f"the answer {answered:.4g} reads as {read}"
    where = f"token {token} of {reading.n}, layer {layer}, head {head}, channel {channel}"
    found = f"{where}: {expected} was stored, {came}"
    if judged.share is not None:
        lost = f"{judged.share.lost} tokens are lost, {judged.share.allowed} may be"
        found = f"{lost}; {found}"
    elif not judged.strict:
        found += f", as are {int(wrong[row].sum())} of the token's {wrong[row].size} bits"
    return {
        "question": {"token": token, "layer": layer, "head": head, "channel": channel},
        "expected": expected,
        "read": read,
        "answered": answered,
        "found": f"{found}; declared: {judged.declaration}.",
    }


def _replay_game(case: Case, target: str, isolation: str, limits: Limits | None) -> Replayed:
    try:
        key, message = bytes.fromhex(case.play["key"]), case.play["message"]
        if type(message) is not int or not 0 <= message < 1 << 31:
            raise ValueError("its message is not a number")
        check_key(key)
        cell = replace(cell_of(case.play["cell"]), target=target, batch_size=1)
        if cell.instance.shape.cache_bits_16 > 8 * MAX_MESSAGE_BYTES:
            raise ValueError("its game is too large to be a counterexample")
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"the case cannot be played ({error}): give the file as it was written."
        ) from None
    declaration = Declaration.of_words(case.declares)
    reading = read_message(cell, key, message, isolation, limits)
    if isinstance(reading, str):
        return Replayed(True, f"It fails in another way: {reading}")
    judged = judge_reading(declaration, cell, reading)
    if judged.verdict == "not-as-declared":
        return Replayed(True, f"It still fails: {_place(judged, reading, cell)['found']}")
    return Replayed(False, f"It does not fail any more. It was: {case.found}")


def _replay_check(case: Case, target: str, isolation: str, limits: Limits | None) -> Replayed:
    from .check_cases import replay_check

    return replay_check(case, target, isolation, limits)


KINDS: Mapping[str, Callable[[Case, str, str, Limits | None], Replayed]] = {
    "game": _replay_game,
    "check": _replay_check,
}
