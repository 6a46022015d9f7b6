"""How batches are split among pairs of players: what a pair costs to start, and what is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

TOGETHER_SECONDS = 30.0
"""How long the batches should take at most that a pair of players plays: a signal loses them."""

START_SECONDS = 2.0
"""How long they should take at least for another pair to be started: that takes about a second."""


def shares(wanted: Sequence[T], seconds: Sequence[float], pairs: int) -> list[list[T]]:
    """Split batches among as many pairs as are worth their start, and more if that takes long.

    ``seconds`` is how long each should take; infinite for one that is played by itself.

    >>> shares("abc", [0.1] * 3, 2), shares("abc", [2.0] * 3, 2), shares("ab", [math.inf] * 2, 1)
    ([['a', 'b', 'c']], [['a', 'c'], ['b']], [['a'], ['b']])
    """
    count, whole = len(wanted), sum(seconds)
    if whole < math.inf:
        worth = min(pairs, int(whole / START_SECONDS))
        count = min(count, max(1, worth, math.ceil(whole / TOGETHER_SECONDS)))
    return [list(wanted[first::count]) for first in range(count)]
