"""What a cell's rows say about the places of wrong bits: counts always, and the map if it is known.

The secrets come from each row's key, the cuts and the rows asked from its public coins; what Bob
said is known of the messages that this process has seen played (``BatchRow.said``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..protocols.evidence.localise import Description, localise
from ..protocols.evidence.record import Reading
from ..protocols.evidence.row_counts import counts_of
from ..protocols.game import coins
from ..protocols.game.cell import Cell
from ..protocols.game.instance import rows_of
from ..protocols.game.instances import Gaussian
from .rows import BatchRow

if TYPE_CHECKING:
    from ..protocols.evidence.losses import Losses


def readings_of(cell: Cell, rows: Sequence[BatchRow]) -> list[Reading]:
    """What was read back of the messages that this process saw played; failed ones are left out.

    A message whose stream was cut says after how many tokens. Rows that Bob guessed, in the average
    case, are left out as well.
    """
    instance, found = cell.instance, []
    n, width, tokens = instance.secret_rows, instance.row_bits, instance.shape.tokens
    for row, i, number in _messages(rows):
        said = None if row.said is None else row.said[i]
        if said is None:
            continue
        asked = rows_of(instance, row.master_key, number)
        secret = coins.secret_bits(row.master_key, row.instance, number, n * width)
        bits = np.unpackbits(np.frombuffer(said, np.uint8), count=len(asked) * width)
        read = _read(cell, row, number, asked)
        here, wanted = instance.placed(asked, secret.reshape(n, width)[asked])
        found.append(
            Reading(
                tokens=here[read],
                secret=wanted[read],
                said=instance.placed(asked, bits.reshape(len(asked), width))[1][read],
                n=tokens if instance.every is not None else max(n, tokens),
                cut=_cut(cell, row, number),
            )
        )
    return found


def _read(
    cell: Cell, row: BatchRow, number: int, asked: NDArray[np.int64]
) -> NDArray[np.bool_] | slice:
    """Which of the rows asked Bob read: a guess says nothing of the algorithm."""
    if not isinstance(cell.instance, Gaussian):
        return slice(None)
    seed = coins.public_seed(row.master_key, row.instance, number)
    return ~cell.instance.unread(seed, None if cell.instance.rows is None else asked)


def map_of(cell: Cell, rows: Sequence[BatchRow]) -> Description | None:
    """Where the bits lie that are wrong; None where no message is known bit by bit."""
    readings = readings_of(cell, rows)
    numbers = [value for _, value in cell.params if type(value) is int and value > 1]
    return localise(readings, parameters=numbers) if readings else None


def losses_of(cell: Cell, rows: Sequence[BatchRow]) -> Losses | None:
    """Token by token and channel by channel; None where no message is known bit by bit."""
    from ..protocols.evidence.losses import Losses

    readings = readings_of(cell, rows)
    return Losses.of(readings) if readings else None


def as_map(cell: Cell, rows: Sequence[BatchRow]) -> dict[str, Any] | None:
    """The map of a cell as plain data."""
    found = map_of(cell, rows)
    return None if found is None else found.as_dict()


def counts_by_place(cell: Cell, rows: Sequence[BatchRow]) -> dict[str, Any]:
    """Wrong bits by every axis, of messages that did not fail; None where they were not counted.

    ``token`` and ``question``: lists by the number of the row in the secret, and by its place among
    the rows asked. ``channel``, ``layer``, ``head``: lists (of values with several bits a number, a
    channel is one of its bits). ``value``: of zeros, of ones. ``cut``:
    [wrong, asked] bits of tokens before and after the cut of their stream, and of the messages
    whose stream was not cut. ``asked`` bits are all of them together; ``failed`` messages.
    """
    n, width = cell.instance.secret_rows, cell.instance.row_bits
    token, question = np.zeros(n, np.int64), np.zeros(cell.instance.rows or n, np.int64)
    cut = {"before": [0, 0], "after": [0, 0], "whole": [0, 0]}
    asked = failed = 0
    by_row = all(row.wrong_by_row is not None for row in rows)
    for row, i, number in _messages(rows):
        if row.failed[i] is not None:
            failed += 1
            continue
        asked += row.asked[i]
        if row.wrong_by_row is None:
            continue
        wrong = counts_of(row.wrong_by_row[i])
        tokens = rows_of(cell.instance, row.master_key, number)
        token[tokens] += wrong
        question[: len(wrong)] += wrong  # of a schedule not all survive
        at, when = _cut(cell, row, number), cell.instance.tokens_of(tokens)
        for side, some in (
            ("before", when < at if at is not None else when < 0),
            ("after", when >= at if at is not None else when < 0),
            ("whole", when >= 0 if at is None else when < 0),
        ):
            cut[side][0] += int(wrong[some].sum())
            cut[side][1] += width * int(some.sum())
    places = [row.wrong_by_place for row in rows if row.wrong_by_place is not None]
    channel, head, value = (
        [sum(map(counts_of, texts)) for texts in zip(*places, strict=True)]
        if len(places) == sum(any(f is None for f in row.failed) for row in rows) and places
        else (None, None, None)
    )
    grid = None if head is None else np.reshape(head, (cell.instance.layers, -1))
    return {
        "asked_bits": asked,
        "failed": failed,
        "token": token.tolist() if by_row else None,
        "question": question.tolist() if by_row else None,
        "channel": None if channel is None else np.asarray(channel).tolist(),
        "layer": None if grid is None else grid.sum(axis=1).tolist(),
        "head": None if grid is None else grid.sum(axis=0).tolist(),
        "value": None if value is None else np.asarray(value).tolist(),
        "cut": cut if by_row else None,
    }


def counts_by_kind(cell: Cell, counts: dict[str, Any]) -> list[dict[str, Any]]:
    """Wrong and asked bits of the layers that slide and of those that attend to all tokens.

    ``counts``: what :func:`counts_by_place` found. ``tokens``: what each of these layers holds.
    Empty where no layer slides, or rows were sampled, or bits were not counted by layer.
    """
    instance, shape = cell.instance, cell.instance.shape
    windows, wrong = shape.windows, counts["layer"]
    if windows is None or wrong is None or instance.rows is not None:
        return []
    messages = counts["asked_bits"] // (sum(shape.held) * instance.row_bits)
    found = []
    for slides in (True, False):
        layers = [l for l, window in enumerate(windows) if (window is not None) is slides]
        if layers:
            found.append({
                "slides": slides,
                "layers": layers,
                "tokens": shape.held[layers[0]],
                "wrong_bits": sum(wrong[l] for l in layers),
                "asked_bits": messages * instance.row_bits * sum(shape.held[l] for l in layers),
            })  # fmt: skip
    return found


def _messages(rows: Sequence[BatchRow]) -> Iterator[tuple[BatchRow, int, int]]:
    """Every message: its row, its place there, its number."""
    for row in rows:
        for i in range(row.size):
            yield row, i, row.batch * row.size + i


def _cut(cell: Cell, row: BatchRow, number: int) -> int | None:
    # A schedule has cuts of its own.
    if not row.streaming or cell.instance.schedule is not None:
        return None
    return coins.cut_point(row.master_key, row.instance, number, cell.instance.shape.tokens)
