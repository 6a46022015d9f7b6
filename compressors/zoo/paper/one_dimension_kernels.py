"""Which tokens of a stream of scalar keys a lazy Gumbel sampler must hold; Numba kernels.

The Gumbel number of token t in copy s is a public function of (seed, s, t), increasing in the
*rank* here: a uint64. A token is *beaten* on the upper side, in a copy, by one that has a key and a
rank at least as large: then for no q >= 0 has it the larger q k + G. On the lower side keys count
with the opposite sign, for q <= 0. Only tokens that are beaten on both sides in every copy go.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....reductions.jit import njit
from ....reductions.lazy_gumbel import mix, unit

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
_NONE = np.uint64(0)


@njit(cache=True, nogil=True, error_model="numpy")
def starts(seed: Any, copies: Any) -> Any:
    """Where the coins of each copy start: uint64[copies] from the public seed, uint64."""
    first = mix(seed)
    out = np.empty(copies, dtype=np.uint64)
    for s in range(copies):
        out[s] = mix(first + np.uint64(s + 1) * _GAMMA)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def rank(start: Any, index: Any) -> Any:
    """The rank of token ``index`` in the copy whose coins begin at ``start``: uint64."""
    return mix(start + (np.uint64(index) + _ONE) * _GAMMA)


@njit(cache=True, nogil=True, error_model="numpy")
def gumbels(start: Any, index: Any) -> Any:
    """The Gumbel numbers of the tokens ``index``, int64[m], in one copy: float64[m], nats."""
    out = np.empty(len(index), dtype=np.float64)
    for l in range(len(index)):
        out[l] = -np.log(-np.log(unit(rank(start, index[l]))))
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _inside(keys: Any, tokens: Any, filled: Any, side: Any, key: Any, token: Any) -> Any:
    # Sides are sorted by falling key, equal keys by rising index.
    last = len(keys[side]) - 1
    if filled[side] <= last or key > keys[side, last]:
        return True
    return key == keys[side, last] and token <= tokens[side, last]


@njit(cache=True, nogil=True, error_model="numpy")
def _insert(keys: Any, tokens: Any, filled: Any, side: Any, key: Any, token: Any) -> None:
    # The caller knows that it belongs inside; of a full side the last one falls out.
    place = min(filled[side], len(keys[side]) - 1)
    while place > 0 and keys[side, place - 1] < key:
        keys[side, place] = keys[side, place - 1]
        tokens[side, place] = tokens[side, place - 1]
        place -= 1
    keys[side, place] = key
    tokens[side, place] = token
    filled[side] = min(filled[side] + 1, len(keys[side]))


@njit(cache=True, nogil=True, error_model="numpy")
def _highest(coins: Any, tokens: Any, filled: Any, side: Any, s: Any) -> Any:
    high = _NONE
    for l in range(filled[side]):
        high = max(high, rank(coins[s], tokens[side, l]))
    return high


@njit(cache=True, nogil=True, error_model="numpy")
def _above(coins: Any, least: Any, token: Any) -> Any:
    # Whether in some copy it beats the whole upper or the whole lower set.
    for s in range(len(coins)):
        word = rank(coins[s], token)
        if word > least[0, s] or word > least[1, s]:
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def keep_top(index: Any, held: Any, fresh: Any, first: Any, coins: Any, k: Any) -> Any:
    """The tokens held after ``fresh``: the upper k, the lower k, and those that one lacks.

    A token outside the upper and the lower set stays while in some copy its rank is above all of
    the upper set's, or all of the lower set's. Nothing depends on how the stream is cut.

    Args:
        index, held: int64[m] and float32[m], the tokens held before and their keys, by index.
        fresh: float32[b], the keys of tokens ``first``, ``first`` + 1, ...
        coins: uint64[copies], from :func:`starts`.
        k: size of the upper set, and of the lower.

    Returns int64: their indices, each once, unsorted.
    """
    keys = np.empty((2, k), dtype=np.float64)
    tokens = np.empty((2, k), dtype=np.int64)
    filled = np.zeros(2, dtype=np.int64)
    least = np.zeros((2, len(coins)), dtype=np.uint64)
    for l in range(len(index)):
        for side in range(2):
            key = held[l] if side == 0 else -held[l]
            if _inside(keys, tokens, filled, side, key, index[l]):
                _insert(keys, tokens, filled, side, key, index[l])
    for side in range(2):
        for s in range(len(coins)):
            least[side, s] = _highest(coins, tokens, filled, side, s)
    rest = np.empty(2 * k + len(index), dtype=np.int64)
    count = 0
    for l in range(len(index)):
        if not _inside(keys, tokens, filled, 0, held[l], index[l]) and not _inside(
            keys, tokens, filled, 1, -held[l], index[l]
        ):
            rest[count] = index[l]
            count += 1
    for step in range(len(fresh)):
        token = first + step
        entered, rose = False, False
        if count + 3 > len(rest):
            wider = np.empty(2 * len(rest), dtype=np.int64)
            for l in range(count):
                wider[l] = rest[l]
            rest = wider
        for side in range(2):
            key = fresh[step] if side == 0 else -fresh[step]
            if filled[side] == k and key <= keys[side, k - 1]:
                continue
            entered = True
            full = filled[side] == k
            out, out_key = tokens[side, k - 1], keys[side, k - 1]
            _insert(keys, tokens, filled, side, key, token)
            for s in range(len(coins)):
                word = rank(coins[s], token)
                if word > least[side, s]:
                    least[side, s] = word
                    rose = True
                elif full and rank(coins[s], out) == least[side, s]:
                    least[side, s] = _highest(coins, tokens, filled, side, s)
            if (
                full
                and not _inside(keys, tokens, filled, 1 - side, -out_key, out)
                and _above(coins, least, out)
            ):
                rest[count] = out
                count += 1
        if not entered and _above(coins, least, token):
            rest[count] = token
            count += 1
        if rose:
            kept = 0
            for l in range(count):
                if _above(coins, least, rest[l]):
                    rest[kept] = rest[l]
                    kept += 1
            count = kept
    out_size = count + filled[0] + filled[1]
    everything = np.empty(out_size, dtype=np.int64)
    for l in range(count):
        everything[l] = rest[l]
    for side in range(2):
        for l in range(filled[side]):
            token, key = tokens[side, l], keys[side, l]
            if side == 0 or not _inside(keys, tokens, filled, 0, -key, token):
                everything[count] = token
                count += 1
    return everything[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _climb(keys: Any, ranks: Any, tokens: Any, size: Any, key: Any, word: Any, token: Any) -> Any:
    # A staircase: keys fall, ranks rise. Returns its new size.
    place = 0
    while place < size and keys[place] >= key:
        place += 1
    if place > 0 and ranks[place - 1] >= word:
        return size
    if place > 0 and keys[place - 1] == key:
        place -= 1  # the newcomer beats it
    past = place
    while past < size and ranks[past] <= word:
        past += 1
    grown = size + 1 - (past - place)
    if past == place:
        for l in range(size, place, -1):
            keys[l], ranks[l], tokens[l] = keys[l - 1], ranks[l - 1], tokens[l - 1]
    else:
        for l in range(place + 1, grown):
            old = l + size - grown
            keys[l], ranks[l], tokens[l] = keys[old], ranks[old], tokens[old]
    keys[place], ranks[place], tokens[place] = key, word, token
    return grown


@njit(cache=True, nogil=True, error_model="numpy")
def _widened(rows: Any) -> Any:
    wide = np.empty((rows.shape[0], rows.shape[1], 2 * rows.shape[2]), dtype=rows.dtype)
    # Assigned by slices it takes seconds to compile.
    for side in range(rows.shape[0]):
        for s in range(rows.shape[1]):
            for l in range(rows.shape[2]):
                wide[side, s, l] = rows[side, s, l]
    return wide


@njit(cache=True, nogil=True, error_model="numpy")
def keep_frontier(index: Any, held: Any, fresh: Any, first: Any, coins: Any) -> Any:
    """The tokens that in some copy are beaten by no other on the upper, or on the lower, side.

    Arguments as in :func:`keep_top`. Returns int64: their indices, some more than once, unsorted.
    """
    copies = len(coins)
    keys = np.empty((2, copies, 64), dtype=np.float64)
    ranks = np.empty((2, copies, 64), dtype=np.uint64)
    tokens = np.empty((2, copies, 64), dtype=np.int64)
    filled = np.zeros((2, copies), dtype=np.int64)
    # The middle of a staircase beats most of what comes; at first nothing does.
    middle_keys = np.full((2, copies), -np.inf)
    middle_ranks = np.zeros((2, copies), dtype=np.uint64)
    before = len(index)
    for step in range(before + len(fresh)):
        old = step < before
        token = index[step] if old else first + step - before
        value = float(held[step] if old else fresh[step - before])
        for s in range(copies):
            word = rank(coins[s], token)
            for side in range(2):
                key = value if side == 0 else -value
                if key <= middle_keys[side, s] and word <= middle_ranks[side, s]:
                    continue
                if filled[side, s] == keys.shape[2]:
                    keys, ranks, tokens = _widened(keys), _widened(ranks), _widened(tokens)
                size = _climb(
                    keys[side, s],
                    ranks[side, s],
                    tokens[side, s],
                    filled[side, s],
                    key,
                    word,
                    token,
                )
                filled[side, s] = size
                middle_keys[side, s] = keys[side, s, size >> 1]
                middle_ranks[side, s] = ranks[side, s, size >> 1]
    out = np.empty(filled.sum(), dtype=np.int64)
    count = 0
    for side in range(2):
        for s in range(copies):
            for l in range(filled[side, s]):
                out[count] = tokens[side, s, l]
                count += 1
    return out


def expected_top(n: int, k: int, copies: int) -> float:
    """Bound on the expected tokens that :func:`keep_top` leaves, of n distinct keys, 2 k <= n.

    2 k + (n - 2k) (1 - (1-p)^copies), p = 2/(k+1) - 1/(2k+1); see ``OneDimension``.

    >>> round(expected_top(10_000, 100, 1), 2)
    345.3
    """
    p = 2.0 / (k + 1) - 1.0 / (2 * k + 1)
    return 2 * k + (n - 2 * k) * (1.0 - (1.0 - p) ** copies)


def expected_frontier(n: int) -> float:
    """The expected tokens that :func:`keep_frontier` leaves in one copy: 2 H_n - 1.

    >>> expected_frontier(1), expected_frontier(2), round(expected_frontier(10**6), 2)
    (1.0, 2.0, 27.79)
    """
    return float(2.0 * np.sum(1.0 / np.arange(1, n + 1, dtype=np.float64)) - 1.0)
