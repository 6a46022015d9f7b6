"""How much memory an attack needs at least, and what there is: known before anything is drawn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ..compressors.catalog import CATALOG, is_builtin
from ..errors import BadInput
from ..protocols.game.cell import Cell
from ..protocols.game.coins import AGE_BUCKETS
from ..protocols.game.instance import Instance
from ..protocols.game.referee import LONG

LONG_STREAM = 1 << 23
"""Numbers of the values from which on an attack is forecast."""

WORKING = 256 << 20
"""Bytes of a process of ours beside the game: code, kernels, and a stream's part or two."""


@dataclass(frozen=True)
class Room:
    """Bytes: ``state`` of a player, ``message`` beside it, ``stream`` of what is there as a whole.

    ``waiting``: messages of a batch that wait for Bob in memory; longer ones wait in a file.
    ``square``: of a compressor that makes all scores of a prefill at once, in float32.
    """

    state: int
    message: int
    stream: int
    waiting: int
    square: int

    @property
    def total(self) -> int:
        """All of it, with what our process needs anyway."""
        return self.state + self.message + self.stream + self.waiting + self.square + WORKING


def room_of(cell: Cell) -> Room:
    """The least room that a cell's messages need while they are played, in all processes together.

    A player that fills its budget has as many bytes of state, and its message is made beside it;
    a foreign one gets a copy of its own of what was handed over. Without a budget it may still keep
    less than a 16-bit cache, so nothing is known of it.

    >>> from ..protocols.game.instances import Index
    >>> room = room_of(Cell(Index(1 << 20, 64, keys="bch", rows=16), "exact", budget=1))
    >>> [part >> 20 for part in (room.state, room.message, room.stream, room.waiting)]
    [256, 256, 64, 0]
    """
    held = (cell.budget_bits or 0) // 8
    in_files = held >= LONG and cell.batch_size > 1
    waiting = 0 if in_files else held * cell.batch_size
    one = CATALOG.get(cell.target)
    square = 4 * cell.instance.n**2 if one is not None and "memory" in one.square else 0
    message = held if is_builtin(cell.target) else 2 * held
    return Room(held, message, _stream_bytes(cell), waiting, square)


def is_long(instance: Instance) -> bool:
    """Whether a message takes so long that an attack is forecast, and that each one is a batch.

    Then it is kept as soon as it was played, and a run that is killed loses the one it was at.
    """
    return instance.n * instance.d * instance.layers * instance.heads >= LONG_STREAM


def side_by_side(cells: Sequence[Cell], most: int) -> int:
    """How many messages of these cells may be played at once: as many as there is memory for."""
    largest = max((room_of(cell).total for cell in cells if is_long(cell.instance)), default=0)
    there = memory_available()
    return most if not largest or there is None else max(1, min(most, there // largest))


def _stream_bytes(cell: Cell) -> int:
    """The secret, a byte a bit; and the keys, where they are no code that computes them.

    A foreign player's are in our process, in its host and in the child that plays.
    """
    instance, shape = cell.instance, cell.instance.shape
    heads = shape.layers * shape.kv_heads
    secret = shape.tokens * heads * shape.d_v
    whole = instance.keys in ("jl", "jl-raw", "greedy") or instance.reduction != "index"
    keys = 4 * shape.tokens * heads * shape.d_k
    if not is_builtin(cell.target):
        return secret + 3 * keys
    return secret + (keys // heads if whole else 0)


def memory_available() -> int | None:
    """Bytes that can be taken without swapping; None where the system does not say."""
    with suppress(OSError, ValueError, IndexError), open("/proc/meminfo") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def refuse_too_large(cells: Sequence[Cell], available: int | None = None, at_once: int = 1) -> None:
    """Raise BadInput if a cell cannot fit into the memory there is, with the size that fits.

    ``available`` None is what the system has now. ``at_once``: how many messages are played side
    by side, which counts for long streams; of short ones all together need less than their code.
    """
    there = memory_available() if available is None else available
    if there is None or not cells:
        return
    cell = max(cells, key=lambda one: room_of(one).total)
    needed = room_of(cell).total
    if needed <= there:
        side_by_side = at_once if is_long(cell.instance) else 1
        if side_by_side * needed > there:
            raise BadInput(
                f"{side_by_side} messages of n = {cell.instance.n} tokens side by side need at "
                f"least {gib(side_by_side * needed)} of memory, and {gib(there)} are available: "
                f"take --workers {there // needed} at most."
            )
        return
    raise BadInput(
        f"A message of n = {cell.instance.n} tokens needs at least {gib(needed)} of memory, and "
        f"{gib(there)} are available: {_what_fits(cell, there)}."
    )


def _what_fits(cell: Cell, there: int) -> str:
    """The option that helps, and its value."""
    instance = cell.instance
    heads = instance.layers * instance.heads
    single: dict[str, Any] = {"layers": 1, "heads": 1} if heads > 1 else {}
    one = replace(cell, instance=replace(instance, **single))
    each = room_of(one).total - WORKING
    if heads > 1 and each <= there - WORKING:
        fit = int((there - WORKING) // each)
        return f"take {fit} heads at most (--layers, --heads, or --sample with --model)"
    # Keys have their interference known exactly at powers of two.
    fit = 1 << (instance.n.bit_length() - 1)
    while fit > AGE_BUCKETS and room_of(_of_length(cell, fit)).total > there:
        fit //= 2
    smaller = " or a smaller --budget" if cell.budget_bits else ""
    return f"take --n {fit}{smaller}"


def _of_length(cell: Cell, n: int) -> Cell:
    rows = cell.instance.rows
    fewer = replace(cell.instance, n=n, rows=None if rows is None else min(rows, n))
    return replace(cell, instance=fewer)


def gib(size: int) -> str:
    """Bytes, for people."""
    return f"{size / (1 << 30):.1f} GiB"
