"""When to stop a cell: pure functions of its contiguous batches.

A rule says how many batches it wants, given the finished ones. A rule that depends on the data
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
        """The total number of wanted batches, given the contiguous ``rows`` 0, 1, 2, ... so far."""

    def most(self, cell: Cell) -> int:
        """An upper bound of ``wanted``, for progress."""


@dataclass(frozen=True)
class FixedMessages:
    """A fixed number of messages; all their batches may be played in parallel."""

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
        """The present ones if they decide, else one more. The tests are anytime-valid."""
        if len(rows) >= self.most(cell):
            return self.most(cell)
        if rows and guarantee_of(cell, rows).decide(self.level)[0] != "undecided":
            return len(rows)
        return len(rows) + 1

    def most(self, cell: Cell) -> int:
        """Whole batches within ``maximum``, one at least."""
        return max(1, self.maximum // cell.batch_size)


def batch_size_for(messages: int) -> int:
    """The batch size for exactly ``messages`` messages: their largest divisor up to 16.

    A cell's identity includes its batch size, and no extra messages are played. To extend a file
    later, ask for multiples of 16.

    >>> [batch_size_for(m) for m in (1, 10, 20, 32, 50, 256)]
    [1, 10, 10, 16, 10, 16]
    """
    if messages < 1:
        raise BadInput(f"The number of messages must be 1 or more, not {messages}.")
    return max(size for size in range(1, BATCH_SIZE + 1) if messages % size == 0)
