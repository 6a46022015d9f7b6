"""The exact sign test on changes of the same messages, and what it can detect.

Message t has the same secret in both measurements; d_t is its change of bit error (of charged
bits). Null: the change exceeds the margin in at most half of the messages, that is, its median is
at most the margin. Messages are independent, so the number that exceed it is below Bin(T, 1/2) in
law, and the test rejects at k = min{k: Pr[Bin(T, 1/2) >= k] <= level}; the same downwards.

A shift of *every* message by more than ``Shift.smallest`` is certain to be caught, given the
changes that were measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 1e-6
"""Family-wise level of ``regress``."""
MARGIN = 0.005
"""What rounding elsewhere may change of a bit error."""


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
    """The smallest k with Pr[Bin(messages, 1/2) >= k] <= level, exactly, or None.

    >>> messages_needed(20, 1e-6), messages_needed(19, 1e-6), messages_needed(64, 1e-9)
    (20, None, 56)
    """
    tail = 0
    for k in range(messages, -1, -1):
        tail += math.comb(messages, k)
        if tail > level * 2.0**messages:
            return k + 1 if k < messages else None
    return 0


def least_messages(level: float) -> int:
    """The fewest messages of which the sign test at this level can reject: all of them must.

    >>> least_messages(1e-6), least_messages(1e-3 / 4)
    (20, 12)
    """
    messages = 1
    while messages_needed(messages, level) is None:
        messages += 1
    return messages
