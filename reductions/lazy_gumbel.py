"""Lazy Gumbel sampling: one draw from a softmax without a Gumbel number for every score.

Appendix E of Haris & Onak, Algorithm 2 (reconstructed; the algorithm is that of Mussmann, Levy and
Ermon 2017, *Fast amortized inference and learning in log-linear models with randomly perturbed
approximate inference*). With scores x_1..x_n (nats) and a set T that holds k largest of them:

    G_i ~ Gumbel for i in T;  M = max_T (x_i + G_i);  B = M - min_T x_i;
    m ~ Bin(n - k, 1 - exp(-exp(-B)));  m distinct uniform indices outside T, each with
    G = -ln(-ln U), U uniform on (exp(-exp(-B)), 1);  the answer is the largest x_i + G_i.

**Exactness.** The largest of x_i + G_i over *all* i, with independent Gumbels, is distributed as
softmax(x) (Gumbel 1954). Outside T, x_i <= min_T x, so x_i + G_i > M needs G_i > B. Given T's
Gumbels, those outside are independent of B: Pr[G_i > B] = 1 - exp(-exp(-B)), so the number that
exceed B is the binomial m, they sit at a uniform set of m places, and each has the Gumbel law above
B, which is -ln(-ln U). The others cannot win, and are never drawn. So T and m fully say who wins.

**E[m]** (ours: the exact value; the paper's n/k follows). Let a = sum_T exp(x_i - min_T x) >= k.
M is Gumbel with location ln sum_T e^{x_i}, so e^{-B} = E/a with E exponential of mean 1. Hence

    E[m] = (n-k) E[1 - e^{-E/a}] = (n-k)/(a+1) <= (n-k)/(k+1) <= n/k,

with equality in the first bound for equal scores. In the law of m, Pr[m >= j] is the product over
i < j of (n-k-i)/(n-k-i+a) (ours: m is beta-binomial with parameters 1 and a). For that, read
e^{-G_i} as exponential clocks: m counts the clocks outside T, each at rate 1, that ring before one
clock of rate a. Whichever rings next is one of the n-k-i left with the probability in the product.

The kernel draws m and the truncated Gumbels as these clocks, in the order in which they ring: the
i-th gap is exponential at rate n-k-i, the owner uniform among those that have not rung, and it
stops at the first clock beyond e^{-B}. By Renyi's representation of exponential order statistics
this is the law above, at the price of m + 1 logarithms.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from .jit import njit

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MUL1 = np.uint64(0xBF58476D1CE4E5B9)
_MUL2 = np.uint64(0x94D049BB133111EB)
_S12, _S27, _S30, _S31 = np.uint64(12), np.uint64(27), np.uint64(30), np.uint64(31)
_STEP = 0.5**52


def top_set(scores: Float64, k: int) -> Int64:
    """The indices of k largest scores, ascending; of equal scores the earlier index is in.

    Raises:
        BadInput: k is not in 1..n.

    >>> top_set(np.array([0.0, 2.0, 1.0, 2.0]), 2).tolist()
    [1, 3]
    """
    n = len(scores)
    if not 1 <= k <= n:
        raise BadInput(
            f"The top set must have 1 to n = {n} scores, not {k}: choose k in this range."
        )
    return np.sort(np.argsort(-np.asarray(scores), kind="stable")[:k])


def expected_lazy(scores: Float64, top: Int64) -> float:
    """E[m] = (n-k)/(a+1), a = sum over the top set of exp(x_i - its smallest score).

    >>> expected_lazy(np.zeros(100), np.arange(10)) == 90 / 11
    True
    """
    _check(scores, top)
    inside = np.asarray(scores, dtype=np.float64)[top]
    with np.errstate(over="ignore"):
        a = float(np.exp(inside - inside.min()).sum())
    return (len(scores) - len(top)) / (a + 1.0)


def lazy_draws(scores: Float64, top: Int64, seed: int, draws: int) -> tuple[Int64, Int64]:
    """Independent draws of Algorithm 2: the winners and the numbers m, int64[draws] each.

    Nothing checks that ``top`` holds the largest scores: with another set the answer is what the
    algorithm gives on it, which is not the softmax.

    Args:
        scores: float64[n], nats, finite.
        top: int64[k], distinct.
        seed: the coins, 0 <= seed < 2**63.
        draws: how many.

    Raises:
        BadInput: the top set is empty, or not made of distinct indices, or a score is not finite.

    >>> winners, m = lazy_draws(np.array([0.0, 50.0, 0.0]), np.array([1]), seed=1, draws=4)
    >>> winners.tolist(), m.tolist()
    ([1, 1, 1, 1], [0, 2, 2, 0])
    """
    _check(scores, top)
    scores = np.ascontiguousarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise BadInput("A score is NaN or infinite: Gumbel sampling needs finite scores.")
    top = np.ascontiguousarray(top, dtype=np.int64)
    outside = np.setdiff1d(np.arange(len(scores)), top)
    winners = np.empty(draws, dtype=np.int64)
    lazies = np.empty(draws, dtype=np.int64)
    draw_lazily(scores, top, outside, np.uint64(seed), winners, lazies)
    return winners, lazies


def buffer_of(keys: Sequence[float], capacity: Callable[[int], int]) -> Int64:
    """What a buffer of the largest keys holds after a stream; its capacity at step t is given.

    Step t = 1, 2, ..: a key enters while the buffer holds fewer than capacity(t), or in place of
    the smallest if it is larger. Returns the held indices (from 0), ascending. At a constant
    capacity c that is the top-c set. At floor(sqrt t), which grows, it is not (ours): a decreasing
    stream enters only when the capacity does, at t = 1, 4, 9, .., and leaves {0, 3, 8, 15, ..}.

    >>> import math
    >>> buffer_of(range(30, 0, -1), math.isqrt).tolist()
    [0, 3, 8, 15, 24]
    >>> buffer_of(range(30, 0, -1), lambda t: 5).tolist()
    [0, 1, 2, 3, 4]
    """
    held: list[tuple[float, int]] = []
    for index, key in enumerate(keys):
        # Of equal keys the earlier one stays: the heap sees it as the larger.
        entry = (float(key), -index)
        if len(held) < capacity(index + 1):
            heapq.heappush(held, entry)
        elif held and entry > held[0]:
            heapq.heapreplace(held, entry)
    return np.sort(np.array([-place for _, place in held], dtype=np.int64))


def _check(scores: Float64, top: Int64) -> None:
    top = np.asarray(top)
    n = len(scores)
    if not len(top) or len(np.unique(top)) != len(top) or top.min() < 0 or top.max() >= n:
        raise BadInput(
            f"The top set must be distinct indices from 0 to {n - 1}, at least one: use top_set."
        )


@njit(cache=True, nogil=True, error_model="numpy")
def mix(z: Any) -> Any:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): uint64 to uint64."""
    z = (z ^ (z >> _S30)) * _MUL1
    z = (z ^ (z >> _S27)) * _MUL2
    return z ^ (z >> _S31)


@njit(cache=True, nogil=True, error_model="numpy")
def unit(word: Any) -> Any:
    """A uint64 as a number of (0, 1): the upper 52 bits, at the middle of their interval."""
    # A float64 holds 53 bits: with one bit more in the word, the last interval would round to 1.
    return (float(word >> _S12) + 0.5) * _STEP


@njit(cache=True, nogil=True, error_model="numpy")
def draw_lazily(scores: Any, top: Any, outside: Any, seed: Any, winners: Any, lazies: Any) -> None:
    """Algorithm 2, ``len(winners)`` times; ``outside`` is permuted on the way.

    Args:
        scores: float64[n]; top: int64[k]; outside: int64[n-k].
        seed: uint64. The c-th coin is ``unit(mix(mix(seed) + c gamma))``.
        winners, lazies: int64[draws], written.
    """
    state = mix(seed)
    least = scores[top[0]]
    for i in top:
        least = min(least, scores[i])
    others = len(outside)
    for r in range(len(winners)):
        best, winner = -np.inf, -1
        for i in top:
            state += _GAMMA
            value = scores[i] - np.log(-np.log(unit(mix(state))))
            if value > best:
                best, winner = value, i
        end, clock, m = np.exp(least - best), 0.0, 0
        while m < others:
            state += _GAMMA
            clock -= np.log(unit(mix(state))) / (others - m)
            if clock >= end:
                break
            state += _GAMMA
            place = m + int(unit(mix(state)) * (others - m))
            outside[m], outside[place] = outside[place], outside[m]
            value = scores[outside[m]] - np.log(clock)
            if value > best:
                best, winner = value, outside[m]
            m += 1
        winners[r], lazies[r] = winner, m
