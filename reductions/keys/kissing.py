"""Kissing keys: minimal vectors of lattices as unit keys, so no two have cosine above 1/2 (ours).

A lattice's shortest nonzero vectors, all of norm M = |x|^2: the difference of two different ones is
in the lattice and not 0, so M <= |x - y|^2 = 2M - 2<x,y>, that is <x,y> <= M/2. The largest n known
in each of these dimensions (the kissing number where that is proved: d = 2, 3, 4, 8, 24):

==  =====  ==  ====================================  ==============================================
d   n      M   lattice                               integer vectors
==  =====  ==  ====================================  ==============================================
2   6      2   A2, hexagonal                         e_i - e_j in Z^3 (isometric to R^2's hexagon)
3   12     2   D3, face-centred cubic                (+-1, +-1, 0)
4   24     2   D4                                    (+-1, +-1, 0, 0)
8   240    4   E8, Hamming's [8,4,4] code mod 2      (+-2, 0^7); (+-1^4, 0^4) on the 14 words
16  4320   8   Barnes-Wall, RM(1,4) mod 2            (+-2^2, 0^14); (+-1^8, 0^8) on the 30 words of
                                                     weight 8, evenly many minuses
24  196560 32  Leech, Golay's [24,12,8] code         (+-4^2, 0^22); (+-2^8, 0^16) on the 759 octads,
                                                     evenly many minuses; (1^23, -3) in any order,
                                                     negated on a codeword
==  =====  ==  ====================================  ==============================================

Conway & Sloane, Sphere Packings, Lattices and Groups (1999), ch. 1 and 4. Rows are x / sqrt(M) in
float32. For d = 3, 4, 8, 16 all entries of all rows are 0 or +-r times powers of two, r one float32
number: inner products are integers times r^2, cosines exact, and a query C k_i rounded to float32
is a multiple of k_i, which is what an exact spectrum asks for.

So it is for d = 24 after turning neighbouring coordinates by (x, y) -> (x+y, x-y)/sqrt(2), which
makes (1, -3) into (-2, 4)/sqrt(2): every pair of every vector above has x+y and x-y among 0, +-2,
+-4, +-8, and x/sqrt(M) then has the entries 0, +-1/4, +-1/2, +-1. All vectors see the same inner
products, because Conway's group moves any to any other. The irrational entries for d = 2 are
rounded one by one: there the float32 rows have cosines up to 1/2 + 2^-22, and no exact spectrum.
"""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from .base import GapSpectrum

Ints = NDArray[np.int64]

#: how many, by dimension
SIZES = {2: 6, 3: 12, 4: 24, 8: 240, 16: 4320, 24: 196560}
#: the squared norm M of the integer vectors
NORMS = {2: 2, 3: 2, 4: 2, 8: 4, 16: 8, 24: 32}

#: the quadratic-residue generator polynomial of Golay's [23,12,7] code, bit i of x^i
GOLAY = 0b110001110101


def integer_vectors(d: int) -> Ints:
    """Int64[SIZES[d], d] (d = 2: three coordinates): the minimal vectors of the table above.

    >>> x = integer_vectors(8)
    >>> x.shape, sorted(set((x @ x[0]).tolist()))
    ((240, 8), [-4, -2, 0, 2, 4])
    """
    if d == 2:
        return np.array(list(itertools.permutations((1, -1, 0))))
    if d in (3, 4):
        return _pairs(d, 1)
    if d == 8:
        words = _span(np.array([_bits(w, 8) for w in (0b00001111, 0b00110011, 0b01010101)]))
        words = np.concatenate([words, 1 - words])
        return np.concatenate([_signed(np.eye(8, dtype=np.int64), 2), _on(words, 4, 1)])
    if d == 16:
        x = np.arange(16)
        words = _span(np.array([np.ones(16, dtype=np.int64), *((x >> i & 1) for i in range(4))]))
        return np.concatenate([_pairs(16, 2), _on(words, 8, 1, even=True)])
    return _leech()


def golay_words() -> Ints:
    """Int64[4096, 24] of bits: the extended Golay code, the parity bit last."""
    rows = np.array([_bits(GOLAY << shift, 23) for shift in range(12)])
    words = _span(rows)
    return np.concatenate([words, words.sum(axis=1, keepdims=True) % 2], axis=1)


def _leech() -> Ints:
    words = golay_words()
    odd = np.ones((24, 24), dtype=np.int64) - 4 * np.eye(24, dtype=np.int64)
    negated = ((1 - 2 * words)[:, None, :] * odd[None]).reshape(-1, 24)
    return np.concatenate([_pairs(24, 4), _on(words, 8, 2, even=True), negated])


def _bits(word: int, length: int) -> list[int]:
    return [word >> i & 1 for i in range(length)]


def _span(rows: Ints) -> Ints:
    """All sums modulo 2 of the rows: int64[2^k, length]."""
    choices = np.array(list(itertools.product((0, 1), repeat=len(rows))))
    return np.asarray(choices @ rows % 2)


def _pairs(d: int, entry: int) -> Ints:
    """(+-entry, +-entry, 0^{d-2}) in any order."""
    supports = np.zeros((d * (d - 1) // 2, d), dtype=np.int64)
    for row, at in zip(supports, itertools.combinations(range(d), 2), strict=True):
        row[list(at)] = 1
    return _on(supports, 2, entry)


def _signed(supports: Ints, entry: int) -> Ints:
    return np.stack([entry * supports, -entry * supports], axis=1).reshape(-1, supports.shape[1])


def _on(words: Ints, weight: int, entry: int, *, even: bool = False) -> Ints:
    """+-entry on the words of this weight, in all signs or those with evenly many minuses."""
    words = words[words.sum(axis=1) == weight]
    minus = np.array(list(itertools.product((0, 1), repeat=weight)))
    if even:
        minus = minus[minus.sum(axis=1) % 2 == 0]
    out = np.zeros((len(words), len(minus), words.shape[1]), dtype=np.int64)
    for block, word in zip(out, words, strict=True):
        block[:, word == 1] = entry * (1 - 2 * minus)
    return out.reshape(-1, words.shape[1])


def check_dimension(d: int) -> None:
    """BadInput unless there are kissing keys of this dimension here."""
    if d not in SIZES:
        raise BadInput(f"kissing keys need d = 2, 3, 4, 8, 16 or 24, not {d}: use one of these.")


def kissing_keys(n: int, d: int) -> tuple[NDArray[np.float32], GapSpectrum | None]:
    """Float32[n, d], the first n; the exact spectrum with all of them, but for d = 2.

    BadInput for another d, and for n > SIZES[d].

    >>> rows, spectrum = kissing_keys(24, 4)
    >>> [(str(p / spectrum.norm2), c) for p, c in spectrum.counts]
    [('-1', 1), ('-1/2', 8), ('0', 6), ('1/2', 8)]
    """
    check_dimension(d)
    if n > SIZES[d]:
        raise BadInput(
            f"There are only {SIZES[d]} kissing keys of dimension {d}, not {n}: use n <= "
            f"{SIZES[d]}."
        )
    rows, spectrum = _whole(d)
    return rows[:n].copy(), spectrum if n == SIZES[d] else None


@functools.cache
def _whole(d: int) -> tuple[NDArray[np.float32], GapSpectrum | None]:
    """All kissing keys of a dimension, float32[SIZES[d], d], and their spectrum but for d = 2."""
    if d == 2:
        angle = np.arange(SIZES[2]) * (np.pi / 3)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), None
    vectors, norm = integer_vectors(d), NORMS[d]
    if d == 24:
        pairs = vectors.reshape(len(vectors), -1, 2)
        turned = np.stack([pairs.sum(axis=2), pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
        vectors, norm = turned.reshape(vectors.shape), 2 * norm
    entry = np.float32(1 / np.sqrt(norm))
    rows = (vectors * np.float64(entry)).astype(np.float32)
    square = Fraction(float(entry)) ** 2
    return rows, GapSpectrum.of(norm * square, vectors[1:] @ vectors[0], unit=square)
