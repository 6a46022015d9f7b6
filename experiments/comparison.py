"""Two measurements of the same messages, compared one by one: the mathematics of ``regress``.

Where the host facts match (:mod:`.host`) every count and every charged bit must be equal.
Elsewhere, and for keys in ``PAIRED_KEYS`` everywhere, floats may differ, and a paired comparison
decides:

*Sign test (exact).* Message t has the same secret in both measurements; d_t is its change of bit
error (of charged bits). Null: the change exceeds the margin in at most half of the messages, that
is, its median is at most the margin. Messages are independent, so the number that exceed it is
below Bin(T, 1/2) in law, and the test rejects at k = min{k: Pr[Bin(T, 1/2) >= k] <= level/tests};
likewise downwards. The family-wise level over all cells, quantities and directions is 1e-6
(Bonferroni).

*What it can see.* A shift of *every* message by more than ``smallest_shift`` is certain to be
caught, given the changes that were measured. What happens in a few messages only is left to the
hosts that match, and to this: a message that fails now and did not before fails the cell anywhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BadInput
from ..protocols.coins import COMMITTED_KEYS
from ..protocols.row_counts import counts_of
from .host import hosts_match
from .points import messages_of
from .rows import BatchRow

LEVEL = 1e-6
MARGIN = 0.005
PAIRED_KEYS = frozenset({"regress-2"})


@dataclass(frozen=True)
class Shift:
    """A paired comparison of one quantity over T messages.

    ``mean``: mean change. ``rises`` and ``falls``: messages that changed by more than ``margin``;
    ``needed`` of them reject (None: T is too small for any answer). ``smallest``: the smallest
    shift of every message that would be caught, None if none would.
    """

    mean: float
    rises: int
    falls: int
    needed: int | None
    margin: float
    smallest: float | None

    @property
    def moved(self) -> str | None:
        """``up``, ``down`` or None."""
        if self.needed is None:
            return None
        return "up" if self.rises >= self.needed else "down" if self.falls >= self.needed else None


@dataclass(frozen=True)
class CellComparison:
    """One cell, before and now. ``failure``: one sentence, or None if it passed.

    ``exact``: every message had to be equal. ``error`` (bit error) and ``charged`` (bits) are the
    paired comparisons, made in either mode so that the shifts can be shown.
    """

    cell: str
    compressor: str
    budget: str | None
    key: str
    messages: int
    exact: bool
    error: Shift
    charged: Shift
    failure: str | None

    @property
    def smallest_shift(self) -> float | None:
        """The smallest bit-error shift that would be caught: one wrong bit where exact."""
        return 0.0 if self.exact else self.error.smallest


@dataclass(frozen=True)
class RegressReport:
    """All comparisons of one run."""

    comparisons: tuple[CellComparison, ...]
    level: float
    margin: float

    @property
    def passed(self) -> bool:
        """Whether no cell moved."""
        return not self.failures

    @property
    def failures(self) -> tuple[CellComparison, ...]:
        """The cells that moved."""
        return tuple(c for c in self.comparisons if c.failure)

    @property
    def messages(self) -> int:
        """Messages compared."""
        return sum(c.messages for c in self.comparisons)

    @property
    def smallest_shift(self) -> float | None:
        """A bit-error shift that would have been caught in whatever cell; None if there is none."""
        shifts = [c.smallest_shift for c in self.comparisons]
        return None if None in shifts else max((s for s in shifts if s is not None), default=None)


def paired_shift(changes: Sequence[float], margin: float, level: float) -> Shift:
    """The sign test on per-message changes, in each direction at ``level``.

    >>> paired_shift([0.01] * 32, 0.005, 1e-9).moved, paired_shift([0.004] * 32, 0.005, 1e-9).moved
    ('up', None)
    """
    d = np.sort(np.asarray(changes, dtype=np.float64))
    needed = messages_needed(len(d), level)
    rises, falls = int((d > margin).sum()), int((d < -margin).sum())
    smallest = None
    if needed is not None:
        # Added to every change, this carries ``needed`` of them beyond the margin, either way.
        smallest = max(0.0, margin - float(d[len(d) - needed]), margin + float(d[needed - 1]))
    return Shift(float(d.mean()), rises, falls, needed, margin, smallest)


def messages_needed(messages: int, level: float) -> int | None:
    """The smallest k with Pr[Bin(messages, 1/2) >= k] <= level, exactly; None if there is none.

    >>> messages_needed(20, 1e-6), messages_needed(19, 1e-6), messages_needed(64, 1e-9)
    (20, None, 56)
    """
    tail = 0
    for k in range(messages, -1, -1):
        tail += math.comb(messages, k)
        if tail > level * 2.0**messages:
            return k + 1 if k < messages else None
    return 0


def compare(
    baseline: Sequence[BatchRow],
    now: Sequence[BatchRow],
    *,
    level: float = LEVEL,
    margin: float = MARGIN,
    only_worse: bool = False,
) -> RegressReport:
    """Compare every cell of the baseline with rows of the same batches played now.

    Rows are paired by cell, key and batch; the source may differ, for the code may have changed.
    A cell's batches under one committed key are compared together, and so are all its batches
    under fresh keys. ``only_worse``: the code is another one on purpose, so nothing needs to be
    equal and only a rise of errors, charged bits or failures is a failure.

    Raises BadInput for an empty baseline, and if a batch was not played again.
    """
    if not baseline:
        raise BadInput("The baseline has no rows: measure one first.")
    played = {(row.cell, row.key, row.batch): row for row in now}
    pairs: dict[tuple[str, str], list[tuple[BatchRow, BatchRow]]] = {}
    for old in sorted(baseline, key=lambda row: (row.key, row.cell, row.batch)):
        new = played.get((old.cell, old.key, old.batch))
        if new is None:
            raise BadInput(
                f"Batch {old.batch} of cell {old.cell} ({old.compressor}) was not played again: "
                "run regress to its end."
            )
        key = old.key if old.key in COMMITTED_KEYS else "fresh"
        pairs.setdefault((old.cell, key), []).append((old, new))
    # Two quantities, two directions, every cell.
    each = level / (4 * len(pairs))
    return RegressReport(
        tuple(_compare_cell(pair, each, margin, only_worse) for pair in pairs.values()),
        level,
        margin,
    )


def _compare_cell(
    pairs: list[tuple[BatchRow, BatchRow]], level: float, margin: float, only_worse: bool
) -> CellComparison:
    first = pairs[0][0]
    exact = (
        not only_worse
        and first.key not in PAIRED_KEYS
        and all(_same_host(old, new) for old, new in pairs)
    )
    before = messages_of([old for old, _ in pairs])
    after = messages_of([new for _, new in pairs])
    changes = [
        (sum(b.wrong_by_age) - sum(a.wrong_by_age)) / sum(a.asked_by_age)
        for a, b in zip(before, after, strict=True)
    ]
    error = paired_shift(changes, margin, level)
    bits = [float(b.charged_bits - a.charged_bits) for a, b in zip(before, after, strict=True)]
    charged = paired_shift(bits, 0.0, level)
    failure = _new_failure(pairs) or (_unequal(pairs) if exact else None)
    if failure is None and not exact:
        constant = len({message.charged_bits for message in before}) == 1
        longer = constant and (any(b > 0 for b in bits) if only_worse else any(bits))
        failure = _moved(error, charged, longer, ("up",) if only_worse else ("up", "down"))
    return CellComparison(
        cell=first.cell,
        compressor=first.compressor,
        budget=first.spec_dict.get("budget"),
        key=first.key,
        messages=len(before),
        exact=exact,
        error=error,
        charged=charged,
        failure=failure,
    )


def _same_host(old: BatchRow, new: BatchRow) -> bool:
    facts = [json.loads(text) for text in (old.host, old.versions, new.host, new.versions)]
    return hosts_match(*facts)


def _new_failure(pairs: list[tuple[BatchRow, BatchRow]]) -> str | None:
    for old, new in pairs:
        for index, (before, after) in enumerate(zip(old.failed, new.failed, strict=True)):
            if after is not None and before is None:
                return f"{_place(old, index)} fails now: {after}"
    return None


def _unequal(pairs: list[tuple[BatchRow, BatchRow]]) -> str | None:
    for old, new in pairs:
        for index, (a, b) in enumerate(zip(old.messages(), new.messages(), strict=True)):
            facts: tuple[tuple[str, Any, Any], ...] = (
                ("wrong bits", sum(a.wrong_by_age), sum(b.wrong_by_age)),
                ("asked bits", sum(a.asked_by_age), sum(b.asked_by_age)),
                ("charged bits", a.charged_bits, b.charged_bits),
                ("wrong bits by age", a.wrong_by_age, b.wrong_by_age),
                *_by_row(a.wrong_by_row, b.wrong_by_row),
                ("failed", a.failed is not None, b.failed is not None),
            )
            for what, was, is_now in facts:
                if was != is_now:
                    return f"{_place(old, index)} has {what} {is_now} instead of {was}."
    return None


def _by_row(before: str | None, after: str | None) -> list[tuple[str, Any, Any]]:
    """The first row asked whose wrong bits differ, where both have counted them."""
    if before is None or after is None or before == after:
        return []
    was, is_now = counts_of(before), counts_of(after)
    row = int(np.argmax(was != is_now))
    return [(f"wrong bits in row {row} of those asked", int(was[row]), int(is_now[row]))]


def _moved(
    error: Shift, charged: Shift, constant_changed: bool, directions: tuple[str, ...]
) -> str | None:
    if constant_changed:
        return f"every message had one length, and it changed by {charged.mean:g} bits on average."
    for shift, what in ((error, "the bit error"), (charged, "the charged bits")):
        if shift.moved in directions:
            count = max(shift.rises, shift.falls)
            return (
                f"{what} went {shift.moved} by {abs(shift.mean):.4g} on average, and by more than "
                f"{shift.margin:g} in {count} messages ({shift.needed} reject)."
            )
    return None


def _place(row: BatchRow, index: int) -> str:
    return f"message {row.batch * row.size + index}"
