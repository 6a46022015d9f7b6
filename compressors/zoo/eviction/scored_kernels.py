"""Numba kernels of the policies that evict by attention: a block of tokens each.

``order[:filled]`` are the slots of the held tokens, oldest first; the rest of ``order`` is empty
slots. Every sum has one order, that of coordinates or of age, so that a stream cut anywhere gives
the same numbers, bit for bit, in whichever slots the tokens are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....reductions.jit import njit

EMPTIED = -2
"""``owner`` of a slot whose token left and that no other has taken."""


@njit(cache=True, nogil=True, error_model="numpy")
def score(q: Any, keys: Any, filled: Any, order: Any, scores: Any) -> None:
    """<q, k> of the held tokens, at their slots: float32, coordinate after coordinate."""
    reach = 0
    for a in range(filled):
        reach = max(reach, order[a] + 1)
    scores[:reach] = np.float32(0.0)
    for j in range(q.shape[0]):
        for i in range(reach):
            scores[i] += q[j] * keys[j, i]


@njit(cache=True, nogil=True, error_model="numpy")
def weigh(scores: Any, filled: Any, order: Any, weights: Any) -> Any:
    """The held tokens' e^(score - maximum) at their slots, float64, and their sum by age."""
    top = -np.inf
    for a in range(filled):
        top = max(top, np.float64(scores[order[a]]))
    total = 0.0
    for a in range(filled):
        slot = order[a]
        weights[slot] = math.exp(np.float64(scores[slot]) - top)
        total += weights[slot]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def remove(order: Any, filled: Any, at: Any) -> Any:
    """Take the at-th oldest token out; its slot is the first empty one, and returned."""
    slot = order[at]
    for a in range(at, filled - 1):
        order[a] = order[a + 1]
    order[filled - 1] = slot
    return slot


@njit(cache=True, nogil=True, error_model="numpy")
def least(numbers: Any, order: Any, end: Any) -> Any:
    """Which of the ``end`` oldest tokens has the least number; of equal ones the oldest."""
    best = 0
    for a in range(1, end):
        if numbers[order[a]] < numbers[order[best]]:
            best = a
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def h2o(
    Q: Any, K: Any, recent: Any, filled: Any, order: Any, keys: Any, heavy: Any, owner: Any
) -> Any:
    """H2O: tokens in, one out of those older than the ``recent`` newest where there is no room.

    Args:
        Q, K: float32[m, d].
        recent: tokens that stay whatever their score.
        filled, order, keys: how many tokens are held, their slots and keys; updated.
        heavy: float32[slots], attention received so far; updated.
        owner: int64[slots], the row of the block that a slot holds, if it does; updated.

    Returns how many tokens are held.
    """
    slots = order.shape[0]
    scores, weights = np.zeros(slots, dtype=np.float32), np.zeros(slots)
    for t in range(K.shape[0]):
        if filled == slots:
            remove(order, filled, least(heavy, order, slots - recent))
            filled -= 1
        slot = order[filled]
        filled += 1
        owner[slot] = t
        heavy[slot] = np.float32(0.0)
        keys[:, slot] = K[t]
        score(Q[t], keys, filled, order, scores)
        total = weigh(scores, filled, order, weights)
        for a in range(filled):
            heavy[order[a]] += np.float32(weights[order[a]] / total)
    return filled


@njit(cache=True, nogil=True, error_model="numpy")
def tova(Q: Any, K: Any, at: Any, filled: Any, order: Any, keys: Any, owner: Any) -> Any:
    """TOVA: tokens in, out the one with the least score of the last query where there is no room.

    Args:
        at: int32[1], the age of the token that leaves next, 0 the oldest; updated.

    The others as in :func:`h2o`. The least score has the least weight, so no weight is needed.
    """
    slots = order.shape[0]
    scores = np.zeros(slots, dtype=np.float32)
    for t in range(K.shape[0]):
        if filled == slots:
            remove(order, filled, at[0])
            filled -= 1
        slot = order[filled]
        filled += 1
        owner[slot] = t
        keys[:, slot] = K[t]
        if filled == slots:
            score(Q[t], keys, filled, order, scores)
            at[0] = least(scores, order, filled)
    return filled


@njit(cache=True, nogil=True, error_model="numpy")
def least_important(low: Any, filled: Any, order: Any, recent: Any, drop: Any) -> Any:
    """The ages of the ``drop`` tokens with the largest ``low``, ascending; of equal ones the older.

    None of the ``recent`` newest. low: int64[slots].
    """
    chosen = np.zeros(filled, dtype=np.bool_)
    for _ in range(drop):
        best = -1
        for a in range(filled - recent):
            if not chosen[a] and (best < 0 or low[order[a]] > low[order[best]]):
                best = a
        chosen[best] = True
    return np.flatnonzero(chosen)


@njit(cache=True, nogil=True, error_model="numpy")
def tally(counts: Any, bits: Any, low: Any) -> None:
    """How often each slot was below the average in the window: int64[slots], from either record."""
    for i in range(low.shape[0]):
        low[i] = 0
        if bits.shape[1] == 0:
            low[i] = counts[i]
        for byte in range(bits.shape[1]):
            value = np.int64(bits[i, byte])
            while value:
                low[i] += value & 1
                value >>= 1


@njit(cache=True, nogil=True, error_model="numpy")
def scissorhands(
    Q: Any, K: Any, window: Any, recent: Any, drop: Any, at: Any, filled: Any, order: Any,
    keys: Any, counts: Any, bits: Any, owner: Any,
) -> Any:  # fmt: skip
    """Scissorhands: tokens in; where there is no room ``drop`` out, the least important ones.

    Args:
        window: how many queries before a drop count.
        recent: tokens that stay however unimportant.
        drop: tokens that leave at once.
        at: int32[1], the place in the ring of ``bits`` of the next query; updated.
        counts: uint16[slots], how often a token was below the average, among the last ``window``
            queries before the next drop; updated. Used if ``bits`` is empty, for windows that
            begin after the last drop.
        bits: uint8[slots, bytes], a ring of ``window`` bits a token, 1: below the average; updated.

    The others as in :func:`h2o`; ``owner`` of a slot that is left empty is ``EMPTIED``.
    """
    slots = order.shape[0]
    scores, weights = np.zeros(slots, dtype=np.float32), np.zeros(slots)
    low = np.zeros(slots, dtype=np.int64)
    for t in range(K.shape[0]):
        if filled == slots:
            tally(counts, bits, low)
            ages = least_important(low, filled, order, recent, drop)
            for i in range(drop - 1, -1, -1):
                owner[remove(order, filled, ages[i])] = EMPTIED
                filled -= 1
            counts[:] = 0
        slot = order[filled]
        filled += 1
        owner[slot] = t
        keys[:, slot] = K[t]
        bits[slot] = 0
        place = np.int64(at[0])
        # Without the ring, steps left until the next drop say whether the window has begun.
        if bits.shape[1] > 0 or slots - filled < window:
            score(Q[t], keys, filled, order, scores)
            total = weigh(scores, filled, order, weights)
            for a in range(filled):
                i = order[a]
                below = weights[i] * filled < total
                if bits.shape[1] == 0:
                    counts[i] += np.uint16(below)
                else:
                    bit = np.uint8(1 << (place % 8))
                    bits[i, place // 8] &= np.uint8(255) ^ bit
                    if below:
                        bits[i, place // 8] |= bit
        if bits.shape[1] > 0:
            at[0] = (place + 1) % window
    return filled
