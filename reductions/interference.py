"""Interference S_i(C) and the smallest query scale C at which every key stands out.

Bob's query C k_i gives token l the weight e^{C<k_l,k_i>}. What the other tokens can add to token
i's output is at most S_i(C) = sum_{l != i} e^{C<k_l,k_i>}. Everything is measured against token
i's own weight, so nothing overflows:

    S'_i(C) = e^{-C|k_i|^2} S_i(C) = sum_{l != i} e^{C g_li},   g_li = <k_l,k_i> - |k_i|^2 ("gap").

Each margin condition (``margins``) has the form f_i(C) := S'_i(C) + w e^{-C|k_i|^2} < bound for all
i, with 0 < bound <= 1 and w >= 0 the share of Bob's own zero token. Three facts make the scale
easy (ours). If every gap of i is negative, f_i falls strictly to 0, and since f_i(0) >= n-1 >=
bound it has one root: f_i > bound below it, f_i < bound above. ln f_i is convex (a log-sum-exp of
linear functions of C), and Newton's method on a convex decreasing function climbs from the left of
its root to it without overshooting. If some gap is >= 0 then f_i >= 1 >= bound at every C >= 0: no
scale works, and the pair (i, l) is the reason. The tight scale is the largest of the n roots.

All of it is float64 arithmetic on the float32 rows that are sent, in blocks of rows. Among many
keys float32 first tells which of them it is worth looking at (``half_gram``): the numbers are the
same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, NoScale
from .keys.base import KeySet

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

#: relative nudge that turns the root f_i(C) = bound into the strict inequality in float64
NUDGE = 1e-9
#: a gap nearer to 0 than this share of |k_i|^2 is lost in float64 rounding
_RESOLUTION = 1e-13
#: entries of one block of the Gram matrix, 32 MiB of float64
_BLOCK = 1 << 22
#: after a scan, the worst keys this many are solved at once, which saves scans
_CANDIDATES = 16
#: from so many keys on float32 looks first, and it pays to import what holds BLAS to one thread
_MANY = 2048


def _rows64(keys: KeySet | ArrayLike) -> Floats:
    array = np.asarray(keys.rows if isinstance(keys, KeySet) else keys, dtype=np.float64)
    if array.ndim != 2 or len(array) < 2:
        raise BadInput(f"Interference needs keys of shape [n, d] with n >= 2, not {array.shape}.")
    return array


def gap_blocks(queries: Floats, own: Indices, keys: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks (rows, gaps): gaps[r, l] = <q_r, k_l> - <q_r, k_own(r)>, 0 at l = own(r).

    ``queries`` float64[m, d], ``own`` int64[m] the key each query is after, ``keys`` float64[n, d].
    """
    step = max(1, _BLOCK // len(keys))
    for start in range(0, len(queries), step):
        rows = slice(start, min(start + step, len(queries)))
        gaps = _products(queries[rows], keys)
        at = (np.arange(len(gaps)), own[rows])
        gaps -= gaps[at][:, None]
        yield rows, gaps


def _products(queries: Floats, keys: Floats) -> Floats:
    if len(keys) < _MANY:
        return np.asarray(queries @ keys.T)
    # Two threads of BLAS that wait for each other cost twice the time of one where cores are busy.
    from .blas import one_thread

    with one_thread:
        return np.asarray(queries @ keys.T)


def query_interference(queries: Floats, own: ArrayLike, keys: ArrayLike) -> Floats:
    """Float64[m]: sum over l != own(r) of exp(<q_r, k_l> - <q_r, k_own(r)>), for any queries.

    With q_r = C k_i this is S'_i(C); with the float32 query that is really sent it is what that
    query meets. Overflows to inf where a key is far from standing out.
    """
    array, at = _rows64(keys), np.asarray(own, dtype=np.int64)
    out = np.empty(len(queries), dtype=np.float64)
    with np.errstate(over="ignore"):
        for rows, gaps in gap_blocks(np.asarray(queries, dtype=np.float64), at, array):
            np.exp(gaps, out=gaps)
            gaps[np.arange(len(gaps)), at[rows]] = 0.0
            out[rows] = gaps.sum(axis=1)
    return out


def relative_interference(
    keys: KeySet | ArrayLike, C: float, rows: ArrayLike | None = None
) -> Floats:
    """S'_i(C) = e^{-C|k_i|^2} S_i(C) for the given rows (all by default): float64[len(rows)].

    C in nats per unit of inner product. A KeySet with an exact spectrum is read off that.

    >>> square = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    >>> float(relative_interference(square, 1.0)[0]) == 2 * math.exp(-1) + math.exp(-2)
    True
    """
    if isinstance(keys, KeySet) and keys.spectrum is not None:
        spectrum, asked = keys.spectrum, keys.n if rows is None else np.size(rows)
        return np.full(asked, spectrum.multiplicities @ np.exp(C * spectrum.gaps))
    array = _rows64(keys)
    own = np.arange(len(array)) if rows is None else np.asarray(rows, dtype=np.int64)
    return query_interference(C * array[own], own, array)


def coherence(keys: KeySet | ArrayLike) -> float:
    """The signed coherence mu: the largest <k_l,k_i> / (|k_l| |k_i|) over l != i.

    Signed, because an opposite key (-1) does not disturb at all. A KeySet with a spectrum is read
    off that, exactly rounded.

    >>> coherence([[1, 0], [0, 2], [3, 3]]) == math.sqrt(0.5)
    True
    """
    if isinstance(keys, KeySet) and keys.spectrum is not None:
        return float(keys.spectrum.counts[-1][0] / keys.spectrum.norm2)
    array = _rows64(keys)
    array = array / np.sqrt((array * array).sum(axis=1, keepdims=True))
    step, best = max(1, _BLOCK // len(array)), -math.inf
    for start in range(0, len(array), step):
        gram = array[start : start + step] @ array.T
        gram[np.arange(len(gram)), start + np.arange(len(gram))] = -math.inf
        best = max(best, float(gram.max()))
    return best


def max_deviation(keys: KeySet | ArrayLike) -> float:
    """The paper's eps as measured: max over i, j (i = j too) of |<k_i,k_j> - delta_ij|.

    This is what Lemma 3 bounds. Note the absolute value: a pair of opposite keys has eps = 1.

    >>> max_deviation([[1, 0], [0, 1], [-1, 0]])
    1.0
    """
    if isinstance(keys, KeySet) and keys.spectrum is not None:
        spectrum = keys.spectrum
        return float(max(abs(spectrum.norm2 - 1), *(abs(p) for p, _ in spectrum.counts)))
    array = _rows64(keys)
    step, worst = max(1, _BLOCK // len(array)), 0.0
    for start in range(0, len(array), step):
        gram = array[start : start + step] @ array.T
        gram[np.arange(len(gram)), start + np.arange(len(gram))] -= 1.0
        worst = max(worst, float(gram.max()), -float(gram.min()))
    return worst


def closest_pair(keys: KeySet) -> tuple[int, int, float]:
    """The pair (i, l) and value of the largest gap g_li = <k_l,k_i> - |k_i|^2 over l != i.

    Closed forms use its negative, which is 1 - mu for unit keys. The value is correctly rounded:
    products of float32 numbers are exact in float64, and ``math.fsum`` adds them exactly.
    """
    array = _rows64(keys)
    if keys.spectrum is not None:
        value = float(keys.spectrum.counts[-1][0] - keys.spectrum.norm2)
        near = array @ array[0] - array[0] @ array[0]
        near[0] = -math.inf
        return 0, int(near.argmax()), value
    own, best = np.arange(len(array)), (-math.inf, 0, 0)
    for rows, gaps in gap_blocks(array, own, array):
        gaps[np.arange(len(gaps)), own[rows]] = -math.inf
        at = int(gaps.argmax())
        i, l = rows.start + at // len(array), at % len(array)
        best = max(best, (float(gaps.flat[at]), i, l))
    _, i, l = best
    ours, theirs = array[i].tolist(), array[l].tolist()
    terms = [a * b for a, b in zip(ours, theirs, strict=True)] + [-a * a for a in ours]
    return i, l, math.fsum(terms)


def separable_gap(keys: KeySet) -> float:
    """The smallest |k_i|^2 - <k_l,k_i>, positive; else NoScale, which names the pair."""
    spectrum = keys.spectrum
    if spectrum is not None and spectrum.gaps[-1] < -_RESOLUTION * float(spectrum.norm2):
        return -float(spectrum.gaps[-1])
    i, l, gap = closest_pair(keys)
    if gap < -_RESOLUTION * float(np.square(keys.rows[i], dtype=np.float64).sum()):
        return -gap
    if np.array_equal(keys.rows[i], keys.rows[l]):
        raise NoScale(
            f"Keys {min(i, l)} and {max(i, l)} of {keys.name} (n = {keys.n}, d = {keys.d}) are "
            "equal, so no scale separates their bits: use fewer keys, a larger d or another "
            "key seed."
        )
    raise NoScale(
        f"Key {i} of {keys.name} (n = {keys.n}, d = {keys.d}) is dominated by key {l}: "
        f"<k_{l},k_{i}> - |k_{i}|^2 = {gap:.3g} is not below 0 (to float64 accuracy), so no "
        f"scale separates its bits from those of key {l}: use unit keys (jl), fewer keys or a "
        "larger d."
    )


def _root(gaps: Floats, weights: Floats | float, bound: float, start: float) -> float:
    """The C with sum of weights * exp(C gaps) = bound: all gaps < 0 and the sum at 0 >= bound."""
    C = start
    terms = weights * np.exp(C * gaps)
    if terms.sum() < bound:  # right of the root: begin where Newton climbs to it
        C, terms = 0.0, weights * np.ones_like(gaps)
    for _ in range(500):
        total = float(terms.sum())
        # on ln f, which is much straighter than f far from the root
        step = math.log(total / bound) * total / -float((terms * gaps).sum())
        C += step
        if step <= 4e-16 * C:
            break
        terms = weights * np.exp(C * gaps)
    return C


def tight_scale(keys: KeySet, bound: float, zero_token: float = 0.0) -> float:
    """The smallest C with S'_i(C) + zero_token e^{-C|k_i|^2} < bound for every key i (ours).

    ``bound`` in (0, 1], ``zero_token`` >= 0: see ``margins`` for what each condition puts there.
    Method: solve the worst keys' equations, scan all keys at the largest root, until none violates.
    A set with an exact spectrum needs one equation. The value returned is the root times 1 + 1e-9
    (more, if float64 needs it), where the strict inequality holds in float64 for every key.

    Raises NoScale naming the pair when two keys are equal or one is dominated; BadInput otherwise.

    >>> from .keys import make
    >>> round(tight_scale(make("kerdock", None, 64), 1 / 3), 3)
    10.041
    """
    if not 0 < bound <= 1 or not 0 <= zero_token < math.inf:
        raise BadInput(f"tight_scale needs 0 < bound <= 1 and zero_token >= 0, not {bound:g}.")
    if keys.n < 2:
        raise BadInput(
            "A scale needs at least two keys: with one key there is nothing to separate."
        )
    if keys.spectrum is not None:
        separable_gap(keys)
        gaps = np.append(keys.spectrum.gaps, -float(keys.spectrum.norm2))
        weights = np.append(keys.spectrum.multiplicities, zero_token)
        nudge, root = NUDGE, _root(gaps, weights, bound, 1.0)
        while float(weights @ np.exp(root * (1 + nudge) * gaps)) >= bound:
            nudge *= 4
        return root * (1 + nudge)
    return _scan_to_scale(keys, bound, zero_token)


def _scan_to_scale(keys: KeySet, bound: float, zero_token: float) -> float:
    """The tight scale from rows: solve the worst keys, look at all, again if one still fails.

    A key that is dominated fails at every scale, so it is among the worst sooner or later.
    """
    array = _rows64(keys)
    norms = (array * array).sum(axis=1)
    weights = np.append(np.ones(len(array) - 1), zero_token)
    C, root, nudge = math.log(len(array) / bound) / float(norms.mean()), 0.0, NUDGE
    while True:
        at = worst_keys(keys, C, _CANDIDATES, lambda S, a: S + zero_token * np.exp(-a))
        f = query_interference(C * array[at], at, array) + zero_token * np.exp(-C * norms[at])
        if root > 0 and float(f.max()) < bound:
            return C
        highest = root
        for i in at[np.argsort(f)[-_CANDIDATES:]]:
            gaps = np.append(np.delete(array @ array[i] - norms[i], i), -norms[i])
            if not gaps[:-1].max() < -_RESOLUTION * norms[i]:
                separable_gap(keys)
            highest = max(highest, _root(gaps, weights, bound, C))
        if highest == root:  # solved already: only float64 rounding is left to step over
            nudge *= 4
        root = highest
        C = root * (1 + nudge)


def worst_keys(
    keys: KeySet, C: float, count: int, demand: Callable[[Floats, Floats], Floats]
) -> Indices:
    """The keys, ascending, that can be among the ``count`` with the largest ``demand(S'_i, a_i)``.

    demand: increasing in S'_i(C), decreasing in a_i = C|k_i|^2, for vectors. It holds for the
    float32 queries fl(C k_i) as well. Among few keys that is all of them; else float32 tells most
    apart (``half_gram``), and what remains is for float64 to say.
    """
    bounds = None
    if keys.n >= _MANY:
        from .half_gram import interference_bounds, most

        bounds = interference_bounds(keys.rows, C)
    if bounds is None:
        return np.arange(keys.n)
    own = C * np.square(keys.rows, dtype=np.float64).sum(axis=1)
    # |<fl(C k), k> - C|k|^2| <= 2^-24 C |k|^2
    low, high = (demand(S, own * (1 + e)) for S, e in zip(bounds, (2**-24, -(2**-24)), strict=True))
    return most(low, high, count)
