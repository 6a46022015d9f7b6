"""Rows dealt to their age buckets, evenly and at random: the kernel of ``coins.sampled_rows``.

Rounds of one row a bucket: in each the buckets that still have rows come in a random order, and
each gives the next of its own rows, which are in a random order too. All orders are those of
Fisher and Yates, from the front, so that no more is drawn than is dealt. A draw below m takes the
next word w of the coins, 64 uniform bits, and is w mod m; a word of the incomplete last interval,
w >= 2^64 - (2^64 mod m), is left out, so that every number is equally likely.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...reductions.jit import njit


@njit(cache=True)
def _below(words: NDArray[np.uint64], used: int, bound: int) -> tuple[np.int64, int]:
    """The next draw below ``bound``, and how many words are used; if none is left, one too many."""
    m = np.uint64(bound)
    last = np.uint64(0xFFFFFFFFFFFFFFFF)
    incomplete = (last % m + np.uint64(1)) % m  # 2^64 mod m
    while used < len(words):
        word = words[used]
        used += 1
        if word <= last - incomplete:
            return np.int64(word % m), used
    return np.int64(0), len(words) + 1


@njit(cache=True)
def deal(words: NDArray[np.uint64], starts: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """Return int64[rows] in the order in which they are dealt; an empty array if words run out.

    Args:
        words: uint64, the coins.
        starts: int64[b + 1], where each of b buckets begins, and where the last ends.
        rows: how many, 1 to ``starts[-1]``.
    """
    buckets = len(starts) - 1
    deck = np.arange(starts[-1])
    top = starts[:-1].copy()
    asked = np.empty(rows, dtype=np.int64)
    dealt = used = 0
    while dealt < rows:
        waiting = np.array([b for b in range(buckets) if top[b] < starts[b + 1]])
        for i in range(len(waiting)):
            if dealt == rows:
                break
            j, used = _below(words, used, len(waiting) - i)
            b = waiting[i + j]
            waiting[i + j] = waiting[i]
            at = top[b]
            k, used = _below(words, used, starts[b + 1] - at)
            if used > len(words):
                return np.empty(0, dtype=np.int64)
            asked[dealt] = deck[at + k]
            deck[at + k] = deck[at]
            top[b] += 1
            dealt += 1
    return asked
