"""When a cell has been played enough: pure functions of its contiguous batches.

A rule says how many batches it wants, given those that are there. A rule that looks at the data
wants at most one more at a time, so that what is played never depends on which batch finished
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import BadInput
from ..protocols.evidence.verdicts import LEVEL
from ..protocols.game.cell import Cell
from .points import guarantee_of
from .rows import BatchRow

BATCH_SIZE = 16


class Stopping(Protocol):
    """How many batches of a cell are wanted."""

    def wanted(self, cell: Cell, rows: Sequence[BatchRow]) -> int:
        """Batches wanted in all, given the contiguous ``rows`` 0, 1, 2, ... that are there."""

    def most(self, cell: Cell) -> int:
        """An upper bound of ``wanted``, for progress."""


@dataclass(frozen=True)
class FixedMessages:
    """Exactly so many messages, whatever they say; all their batches may be played at once."""

    messages: int

    def wanted(self, cell: Cell, rows: Sequence[BatchRow]) -> int:
        """Messages over batch size. Raises BadInput unless they are whole batches."""
        return self.most(cell)

    def most(self, cell: Cell) -> int:
        """The same."""
        batches, rest = divmod(self.messages, cell.batch_size)
        if rest or batches < 1:
            raise BadInput(
                f"{self.messages} messages are not whole batches of {cell.batch_size}: give the "
                f"cell the batch size batch_size_for({self.messages})."
            )
        return batches


@dataclass(frozen=True)
class UntilDecided:
    """Until the guarantee is decided at ``level``, at most ``maximum`` messages (256)."""

    level: float = LEVEL
    maximum: int = 256

    def wanted(self, cell: Cell, rows: Sequence[BatchRow]) -> int:
        """Those that are there once they decide, else one more. The tests are anytime-valid."""
        if len(rows) >= self.most(cell):
            return self.most(cell)
        if rows and guarantee_of(cell, rows).decide(self.level)[0] != "undecided":
            return len(rows)
        return len(rows) + 1

    def most(self, cell: Cell) -> int:
        """Whole batches within ``maximum``, one at least."""
        return max(1, self.maximum // cell.batch_size)


def batch_size_for(messages: int) -> int:
    """The batch size with which exactly ``messages`` are played: the largest divisor up to 16.

    A cell's identity holds its batch size, and nothing is played beyond what was asked for. To be
    able to extend a file later, ask for multiples of 16.

    >>> [batch_size_for(m) for m in (1, 10, 20, 32, 50, 256)]
    [1, 10, 10, 16, 10, 16]
    """
    if messages < 1:
        raise BadInput(f"{messages} messages are none: give 1 or more.")
    return max(size for size in range(1, BATCH_SIZE + 1) if messages % size == 0)
