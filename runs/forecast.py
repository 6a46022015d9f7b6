"""How long an attack on a long stream takes, before it begins: two short ones, and their growth."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ..errors import BadInput
from ..protocols.game.cell import Cell
from ..protocols.game.index_game import Session
from .room import gib, is_long, memory_available, room_of
from .stopping import FixedMessages, Stopping

_LONGEST = 1 << 14
_APART = 4


@dataclass(frozen=True)
class Forecast:
    """What a message of a cell takes.

    Attributes:
        seconds: of waiting, extrapolated as n^``growth`` from a stream of ``measured`` tokens.
        memory_bytes: at least, of all that are played at once; ``available_bytes`` there are, None
            where nobody says.
    """

    seconds: float
    growth: float
    measured: int
    memory_bytes: int
    available_bytes: int | None

    def sentence(self, messages: int, most: bool) -> str:
        """For people.

        ``messages`` of all points together; with ``most`` it may be fewer.

        >>> Forecast(12.0, 1.02, 16384, 3 << 29, 1 << 34).sentence(2, most=False)
        'estimated: 12 s a message, 24 s for 2 (it grows as n^1.0, from 16,384 tokens); at least \
1.5 GiB of memory, of 16.0 GiB available'
        """
        upto = "at most " if most else ""
        size = self.available_bytes
        there = "" if size is None else f", of {gib(size)} available"
        return (
            f"estimated: {_time(self.seconds)} a message, {upto}"
            f"{_time(messages * self.seconds)} for {messages} (it grows as n^{self.growth:.1f}, "
            f"from {self.measured:,} tokens); at least {gib(self.memory_bytes)} of memory"
            f"{there}"
        )


def estimates(
    cells: Sequence[Cell], session: Session, stopping: Stopping, at_once: int
) -> Iterator[str]:
    """What the messages of cells should take, for people, if it is known.

    The last cell's budget is the largest. Up to ``at_once`` are played side by side.
    """
    batches = [stopping.most(cell) for cell in cells]
    found = forecast(cells[-1], session, min(at_once, sum(batches)))
    if found is not None:
        messages = sum(b * cell.batch_size for b, cell in zip(batches, cells, strict=True))
        yield found.sentence(messages, most=not isinstance(stopping, FixedMessages))


def forecast(cell: Cell, session: Session, at_once: int = 1) -> Forecast | None:
    """Rehearse two short streams of a cell; None if its stream is short or has no shorter ones.

    ``at_once``: how many of its messages will be played side by side.
    Time is taken to grow as a power of n, at least 1, which two noisy times cannot put above 2.
    """
    instance = cell.instance
    if not is_long(instance) or instance.schedule is not None:
        return None
    longer = min(_LONGEST, instance.n // 2)
    took: dict[int, list[float]] = {longer // _APART: [], longer: []}
    # Each twice, and the least counts: a kernel compiles once, perhaps for the longer stream only,
    # and what else the machine does can only add time.
    for tokens in (*took, *took):
        rows = None if instance.rows is None else min(instance.rows, tokens)
        began = time.perf_counter()
        with suppress(BadInput):
            fewer = replace(cell, instance=replace(instance, n=tokens, rows=rows))
            if session.rehearse(fewer).failed is None:
                took[tokens].append(time.perf_counter() - began)
    if not all(took.values()):
        return None
    short, long = (min(seconds) for seconds in took.values())
    growth = min(2.0, max(1.0, math.log(long / short, _APART)))
    return Forecast(
        seconds=long * (instance.n / longer) ** growth,
        growth=growth,
        measured=longer,
        memory_bytes=at_once * room_of(cell).total,
        available_bytes=memory_available(),
    )


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
