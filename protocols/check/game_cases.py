"""Cases of a game: one message that refutes a declaration, found and played again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...compressors.plugin.declaration import Declaration
from ...errors import BadInput
from ..evidence.declared import Declared
from ..evidence.reading import Reading
from ..evidence.record import MessageRecord
from ..evidence.row_counts import text_of
from ..game.cell import Cell, cell_of, target_name
from ..game.coins import check_key
from ..game.declarations import hold_against
from ..game.index_game import read_message
from ..players.isolation import Limits
from .cases import Case, Replayed


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
    if judged.verdict == "as-declared":
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


def replay_game(case: Case, target: str, isolation: str, limits: Limits | None) -> Replayed:
    """Play the message again.

    Raises:
        BadInput: what the case plays is not there, or is no message.
    """
    try:
        key, message = bytes.fromhex(case.play["key"]), case.play["message"]
        if type(message) is not int or not 0 <= message < 1 << 31:
            raise ValueError("its message is no number")
        check_key(key)
        cell = replace(cell_of(case.play["cell"]), target=target, batch_size=1)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"the case cannot be played ({error}): give the file as it was.") from None
    declaration = Declaration.of_words(case.declares)
    reading = read_message(cell, key, message, isolation, limits)
    if isinstance(reading, str):
        return Replayed(True, f"It fails in another way: {reading}")
    judged = judge_reading(declaration, cell, reading)
    if judged.verdict == "not-as-declared":
        return Replayed(True, f"It still fails: {_place(judged, reading, cell)['found']}")
    return Replayed(False, f"It does not fail any more. It was: {case.found}")
