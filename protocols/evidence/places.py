"""The places of one axis: ranges, residues, sets; which explains the wrong bits best; their words.

A place is scored by the likelihood that its bits are wrong at one rate and the others at another
(Kulldorff's scan statistic), less the bits of a code that names it. The code is a prefix code
(each family says its sizes): all places of an axis together have a sum of 2^-bits of at most 1/2,
for the other half is the whole axis. These are the weights that :mod:`.relabelling` asks for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MODULI = tuple(range(2, 65))
PERIODS = 4
"""A residue is met at least so often."""
MOST_ENDS = 128
"""Ends of ranges that are tried of a longer axis; around the best of them, all."""
NEAR = 12
FEW = 16
"""A set without a pattern has at most so many members, or lacks so many."""


@dataclass(frozen=True)
class Places:
    """Some numbers of an axis: ``numbers`` in increasing order, and in ``words``."""

    numbers: tuple[int, ...]
    words: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data: ``ranges`` [[first, last], ...], both ends included, and ``words``."""
        return {"ranges": [list(one) for one in ranges_of(self.numbers)], "words": self.words}


@dataclass(frozen=True, eq=False)
class Choice:
    """A place found: which of the axis's values are in it, its code's ``bits``, its ``gain``.

    ``period``: None, or the modulus and its residues.
    """

    inside: Bools
    bits: float
    gain: float
    period: tuple[int, tuple[int, ...]] | None = None


def ranges_of(numbers: Sequence[int], among: Iterable[int] | None = None) -> list[tuple[int, int]]:
    """The runs of consecutive numbers, both ends included; ``among`` others that there are, if any.

    >>> ranges_of([1, 2, 3, 7]), ranges_of([1, 3, 7], among=[1, 3, 4, 7, 9])
    ([(1, 3), (7, 7)], [(1, 3), (7, 7)])
    """
    at = int if among is None else {number: i for i, number in enumerate(sorted(among))}.__getitem__
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and at(number) == at(ranges[-1][1]) + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def spans(numbers: Iterable[int], most: int = 8, among: Iterable[int] | None = None) -> str:
    """Numbers as ranges, for people.

    >>> spans([0, 1, 2, 5, 7, 8]), spans([3]), spans([0, 2, 4, 5], most=2)
    ('0-2, 5, 7-8', '3', '0, 2 and 2 more')
    """
    found = sorted(set(numbers))
    ranges = ranges_of(found, among)
    words = [f"{a}" if a == b else f"{a}-{b}" for a, b in ranges[:most]]
    more = sum(number > ranges[most - 1][1] for number in found) if len(ranges) > most else 0
    return ", ".join(words) + (f" and {more} more" if more else "")


def named(what: str, numbers: Iterable[int]) -> str:
    """Numbers as ranges, behind what they number.

    >>> named("token", [3]), named("token", [3, 4])
    ('token 3', 'tokens 3-4')
    """
    found = set(numbers)
    return f"{what}{'s' if len(found) > 1 else ''} {spans(found)}"


def _xlogy(x: Floats, y: Floats) -> Floats:
    return np.asarray(x * np.log(np.where(x > 0, y, 1.0)))


def _fit(k: Any, a: Any) -> Floats:
    """Log likelihood of k wrong bits of a at their own rate."""
    rate = k / np.maximum(a, 1.0)
    return _xlogy(k, rate) + _xlogy(a - k, 1.0 - rate)


def likelihood(k: Any, a: Any, wrong: float, asked: float) -> Floats:
    """Log likelihood ratio of two rates against one; where inside is not twice outside, -inf.

    ``k`` of ``a`` bits inside are wrong, and ``wrong`` of ``asked`` in all.
    """
    k, a = np.asarray(k, dtype=np.float64), np.asarray(a, dtype=np.float64)
    total = _fit(k, a) + _fit(wrong - k, asked - a) - _fit(wrong, asked)
    worse = k * (asked - a) >= 2.0 * (wrong - k) * a
    return np.where(worse & (k > 0) & (a < asked), total, -np.inf)


def choices(
    values: Ints,
    wrong: Floats,
    asked: Floats,
    parameters: Sequence[int] = (),
    beyond: tuple[float, float] = (0.0, 0.0),
) -> list[Choice]:
    """The best place of each family along an axis, those that gain something, the best first.

    ``values`` int64[V]: the axis's numbers in increasing order; ``wrong`` and ``asked`` float64[V]:
    their bits; ``beyond``: those that have no such number. ``parameters``: further moduli.

    >>> wrong = np.zeros(64)
    >>> wrong[9:16] = 30
    >>> best = choices(np.arange(64), wrong, np.full(64, 64.0))[0]
    >>> np.flatnonzero(best.inside).tolist()
    [9, 10, 11, 12, 13, 14, 15]
    """
    K, A = float(wrong.sum()) + beyond[0], float(asked.sum()) + beyond[1]
    if len(values) < 2 or K == 0 or K == A:
        return []
    found: list[Choice] = []
    for inside, bits, period in (
        *_runs(values, wrong, asked, K, A),
        *_residues(values, wrong, asked, K, A, parameters),
        *_sets(values, wrong, asked, K, A),
    ):
        score = float(likelihood(wrong[inside].sum(), asked[inside].sum(), K, A))
        gain = score - math.log(2) * bits
        if gain > 0:
            found.append(Choice(inside, bits, gain, period))
    return sorted(found, key=lambda one: -one.gain)


Found = tuple[Bools, float, tuple[int, tuple[int, ...]] | None]


def _end_bits(values: Ints) -> Floats:
    """What the end before each value costs, and the last one's: round numbers cost less.

    2^-bits sum to at most 2 * 3/16 for the outer ends, 3 * 2/16 for the round ones, and 1/4.
    """
    first, last = int(values[0]), int(values[-1]) + 1
    size, V = last - first, len(values)
    ends = np.append(values, last)
    bits = np.full(V + 1, 2.0 + math.log2(size))
    for step in (16, 32, 64):
        if size > step:
            round_ones = ends % step == 0
            bits[round_ones] = np.minimum(bits[round_ones], 4.0 + math.log2(size / step))
    bits[0] = bits[-1] = math.log2(16 / 3)
    return bits


def _runs(values: Ints, wrong: Floats, asked: Floats, K: float, A: float) -> Iterator[Found]:
    """A range; two ranges; a range with a hole; all but a range."""
    V = len(values)
    place, cost = np.arange(V), _end_bits(values)
    ends = _ends(wrong / np.maximum(asked, 1.0), values)

    def best(base: Bools, sign: int) -> tuple[Bools, float] | None:
        """The best range to join to a base (sign 1), or to take out of it (-1)."""
        within = ~base if sign > 0 else base
        ck = np.append(0.0, np.cumsum(np.where(within, wrong, 0.0)))
        ca = np.append(0.0, np.cumsum(np.where(within, asked, 0.0)))
        k0, a0 = float(wrong[base].sum()), float(asked[base].sum())

        def scored(lo: Ints, hi: Ints) -> tuple[int, int, float]:
            a = np.where(lo < hi, ca[hi] - ca[lo], 0.0)
            score = likelihood(k0 + sign * (ck[hi] - ck[lo]), a0 + sign * a, K, A)
            score = np.where(a > 0, score - math.log(2) * (cost[lo] + cost[hi]), -np.inf)
            at = int(np.argmax(score))
            return int(lo[at]), int(hi[at]), float(score[at])

        i, j = np.triu_indices(len(ends), 1)
        low, high, score = scored(ends[i], ends[j])
        if not math.isfinite(score):
            return None
        if len(ends) <= V:
            near = np.arange(-NEAR, NEAR + 1)
            lo, hi = np.clip(low + near, 0, V), np.clip(high + near, 0, V)
            low, high, score = scored(np.repeat(lo, len(hi)), np.tile(hi, len(lo)))
        return (place >= low) & (place < high), 3.0 + float(cost[low] + cost[high])

    none, whole = np.zeros(V, dtype=bool), np.ones(V, dtype=bool)
    hole = best(whole, -1)
    if hole is not None:
        yield ~hole[0], hole[1] + 1.0, None
    one = best(none, 1)
    if one is None:
        return
    yield one[0], one[1], None
    for sign in (1, -1):
        more = best(one[0], sign)
        if more is not None:
            both = one[0] | more[0] if sign > 0 else one[0] & ~more[0]
            yield both, one[1] + more[1] + 1.0, None


def _ends(rate: Floats, values: Ints) -> Ints:
    """Where ranges may begin and end: everywhere, or of a long axis where the rate jumps."""
    V = len(rate)
    if V < MOST_ENDS:
        return np.arange(V + 1)
    jumps = np.abs(np.diff(rate))
    sums = np.append(0.0, np.cumsum(rate))
    at = np.arange(1, V)
    before, after = np.maximum(at - 8, 0), np.minimum(at + 8, V)
    smooth = np.abs(
        (sums[after] - sums[at]) / (after - at) - (sums[at] - sums[before]) / (at - before)
    )
    ends = [1 + np.argsort(-x, kind="stable")[: MOST_ENDS // 3] for x in (jumps, smooth)]
    step = max(16, V // 16)
    return np.unique(np.concatenate([[0, V], *ends, np.flatnonzero(values % step == 0)]))


def _residues(
    values: Ints, wrong: Floats, asked: Floats, K: float, A: float, parameters: Sequence[int]
) -> Iterator[Found]:
    """A run of residues modulo m, and a set of residues of a small modulus."""
    V = len(values)
    usual = {2, 4, 8, 16, 32, 64} | {int(p) for p in parameters if p >= 2}
    outside = float(_fit(K - wrong.sum(), A - asked.sum()) - _fit(K, A))
    best_run: tuple[float, int, int, int, float] | None = None
    best_set: tuple[float, int, Bools, float] | None = None
    for m in sorted({*MODULI, *usual}):
        if PERIODS * m > V:
            break
        r = values % m
        k = np.bincount(r, weights=wrong, minlength=m)
        a = np.bincount(r, weights=asked, minlength=m)
        modulus = 5.0 + math.log2(len(usual) if m in usual else len(MODULI))
        # A rate for each residue fits at least as well as two rates: where that does not pay for
        # the shortest name, no run and no set does.
        most = float(_fit(k, a).sum()) + outside
        if most <= math.log(2) * (modulus + min(m, math.log2(m * (m - 1)))):
            continue
        ck, ca = np.cumsum(np.append(0.0, [*k, *k])), np.cumsum(np.append(0.0, [*a, *a]))
        start, length = np.divmod(np.arange(m * (m - 1)), m - 1)
        stop = start + length + 1
        bits = modulus + math.log2(m * (m - 1))
        score = likelihood(ck[stop] - ck[start], ca[stop] - ca[start], K, A)
        at = int(np.argmax(score))
        value = float(score[at]) - math.log(2) * bits
        if np.isfinite(value) and (best_run is None or value > best_run[0]):
            best_run = value, m, int(start[at]), int(stop[at]), bits
        if 4 <= m <= 16:
            order = np.argsort(-k / np.maximum(a, 1.0), kind="stable")
            score = likelihood(np.cumsum(k[order])[:-1], np.cumsum(a[order])[:-1], K, A)
            at = int(np.argmax(score))
            bits = modulus + m
            value = float(score[at]) - math.log(2) * bits
            if np.isfinite(value) and (best_set is None or value > best_set[0]):
                chosen = np.zeros(m, dtype=bool)
                chosen[order[: at + 1]] = True
                best_set = value, m, chosen, bits
    if best_run is not None:
        _, m, begin, end, bits = best_run
        chosen = np.zeros(m, dtype=bool)
        chosen[np.arange(begin, end) % m] = True
        yield chosen[values % m], bits, (m, tuple(np.flatnonzero(chosen).tolist()))
    if best_set is not None:
        _, m, chosen, bits = best_set
        yield chosen[values % m], bits, (m, tuple(np.flatnonzero(chosen).tolist()))


def _sets(values: Ints, wrong: Floats, asked: Floats, K: float, A: float) -> Iterator[Found]:
    """Any set, or of a long axis a small one or one that lacks few: the values in order of rate."""
    V = len(values)
    order = np.argsort(-wrong / np.maximum(asked, 1.0), kind="stable")
    sizes = np.arange(1, V)
    bits = _set_bits(V)
    score = likelihood(np.cumsum(wrong[order])[:-1], np.cumsum(asked[order])[:-1], K, A)
    allowed = (sizes <= FEW) | (V - sizes <= FEW) | (V <= 128)
    score = np.where(allowed, score - math.log(2) * bits, -np.inf)
    best = int(np.argmax(score))
    if np.isfinite(score[best]):
        inside = np.zeros(V, dtype=bool)
        inside[order[: best + 1]] = True
        yield inside, float(bits[best]), None


@lru_cache(maxsize=64)
def _set_bits(V: int) -> Floats:
    """What a set of 1, 2, ..., V - 1 of V values costs; float64[V - 1], not to be written."""
    bits = np.array([4.0 + math.log2(V) + _log2_choose(V, s) for s in range(1, V)])
    # One of them, or all but one, is a family of its own.
    bits[[0, -1]] = 4.0 + math.log2(V)
    return bits


def _log2_choose(n: int, k: int) -> float:
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(2)


def words_of(axis: str, numbers: tuple[int, ...], values: Ints, choice: Choice) -> str:
    """The places of an axis in words; ``values`` are all that there are."""
    if axis == "cut":
        return _from_cut(numbers, values)
    noun = {"within": "tokens"}.get(axis, axis)
    if choice.period is not None:
        m, residues = choice.period
        if len(residues) == 1:
            return f"{noun} whose number modulo {m} is {residues[0]}"
        return f"{noun} {spans(residues)} of every {m}"
    there = {int(v) for v in values}
    left = sorted(there - set(numbers))
    # Of a sample, a range has all that were asked between its ends.
    few = " of those asked" if axis == "tokens" and max(there) - min(there) >= len(there) else ""
    if axis in ("tokens", "questions", "channels") and len(ranges_of(left, there)) < len(
        ranges_of(numbers, there)
    ):
        return f"all {noun}{few} but {spans(left, among=there)}"
    if len(numbers) == 1:
        return f"{noun[:-1]} {numbers[0]}"
    return f"{noun} {spans(numbers, among=there)}{few}"


def _from_cut(numbers: tuple[int, ...], values: Ints) -> str:
    """Tokens counted from the cut of their stream, in words."""
    after = [number for number in numbers if number >= 0]
    before = [-number for number in reversed(numbers) if number < 0]
    parts = []
    for side, some, first, whole in (
        ("before", before, 1, int((values < 0).sum())),
        ("after", after, 0, int((values >= 0).sum())),
    ):
        if some and len(some) == whole:
            parts.append(f"all tokens {side} the cut")
        elif some and some == list(range(first, first + len(some))):
            edge = "last" if side == "before" else "first"
            number = f"{edge} token" if len(some) == 1 else f"{edge} {len(some)} tokens"
            parts.append(f"the {number} {side} the cut")
        elif some:
            parts.append(f"tokens {spans(some)} {side} the cut")
    return " and ".join(parts)
