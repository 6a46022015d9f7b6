"""Encoders of N bits into m bits, small enough to try on every secret: {0,1}^N as 0 .. 2^N - 1.

An encoder here is what it does to each secret: an array int64[2^N] of *reconstructions*, with at
most 2^m different ones (an encoder with m-bit messages has no more). Ours are picked to strain the
no-hypercompression bound from different sides: :func:`packing` meets it wherever its balls are
disjoint, :func:`lloyd` looks for a small mean error, :func:`hashed` is bad on purpose.

    Pr[dist(X, X^) <= k] <= 2^m V(N,k) / 2^N,   V(N,k) = sum_{j<=k} binom(N,j)            (bounds)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Words = NDArray[np.int64]
Encoder = Callable[[int, int, np.random.Generator, int], Words]


def _check(N: int, m: int) -> None:
    if not 1 <= N <= 20 or not 0 <= m <= N:
        raise BadInput(
            f"An encoder tried on every secret needs 1 <= N <= 20 secret bits and 0 <= m <= N "
            f"message bits, not N = {N} and m = {m}."
        )


def weights(N: int) -> Words:
    """Int64[2^N]: the number of ones of each word."""
    return np.array([x.bit_count() for x in range(2**N)], dtype=np.int64)


def nearest(N: int, book: Words) -> Words:
    """Int64[2^N]: the nearest word of the codebook to each secret, the smallest among equals.

    One pass a coordinate. With f(y) = dist(x, y) 2^N + y the wanted word minimises f over the book,
    and the distance is a sum over coordinates: after coordinate i, place x holds the least f over
    the words that agree with x beyond coordinate i.

    >>> nearest(3, np.array([0b000, 0b111])).tolist()
    [0, 0, 0, 7, 0, 7, 7, 7]
    """
    secrets = np.arange(2**N)
    best = np.full(2**N, (N + 1) << N, dtype=np.int64)
    best[book] = book
    for i in range(N):
        best = np.minimum(best, best[secrets ^ (1 << i)] + (1 << N))
    return np.asarray(best & (2**N - 1))


def keep(N: int, m: int, rng: np.random.Generator, tries: int) -> Words:
    """The first m bits as they are, 0 for the others: eviction."""
    _check(N, m)
    return np.asarray(np.arange(2**N) & (2**m - 1))


def repetition(N: int, m: int, rng: np.random.Generator, tries: int) -> Words:
    """One bit for each of m blocks of about N/m bits, its majority: a product of repetition codes.

    >>> repetition(3, 1, np.random.default_rng(0), 0).tolist()
    [0, 0, 0, 7, 0, 7, 7, 7]
    """
    _check(N, m)
    out = np.zeros(2**N, dtype=np.int64)
    if m == 0:
        return out
    ones = weights(N)
    for block in np.array_split(np.arange(N), m):
        mask = int((1 << block).sum())
        out |= np.where(2 * ones[np.arange(2**N) & mask] > len(block), mask, 0)
    return out


def packing(N: int, m: int, rng: np.random.Generator, tries: int) -> Words:
    """The first 2^m words of the lexicode of the largest distance that has so many.

    A lexicode of distance D takes 0, 1, 2, ... whenever it is at least D from all that are taken.
    Balls of radius k <= (D-1)/2 are disjoint, so there the bound is an equality.
    """
    _check(N, m)
    ones = weights(N)
    book: list[int] = []
    for D in range(N, 0, -1):
        free, book = np.ones(2**N, dtype=bool), []
        while len(book) < 2**m and free.any():
            book.append(int(free.argmax()))
            free &= ones[np.arange(2**N) ^ book[-1]] >= D
        if len(book) == 2**m:
            break
    return nearest(N, np.array(book))


def greedy_linear(N: int, m: int, rng: np.random.Generator, tries: int) -> Words:
    """A linear code: m times, the smallest word farthest from the code so far joins its basis."""
    _check(N, m)
    ones, book = weights(N), np.zeros(1, dtype=np.int64)
    for _ in range(m):
        far = int(ones[np.arange(2**N) ^ nearest(N, book)].argmax())
        book = np.concatenate([book, book ^ far])
    return nearest(N, book)


def random_book(N: int, m: int, rng: np.random.Generator, tries: int) -> Words:
    """The best by mean error of ``tries`` codebooks of 2^m words drawn without replacement."""
    _check(N, m)
    drawn = [nearest(N, rng.choice(2**N, size=2**m, replace=False)) for _ in range(tries)]
    return min(drawn, key=lambda out: _total(N, out))


def lloyd(N: int, m: int, rng: np.random.Generator, tries: int) -> Words:
    """Lloyd's algorithm from ``tries`` random codebooks: nearest words, then cells' majorities.

    Neither step raises the mean error; a run ends when it no longer falls.
    """
    _check(N, m)
    best = keep(N, m, rng, tries)
    for _ in range(tries):
        out = nearest(N, rng.choice(2**N, size=2**m, replace=False))
        while _total(N, step := nearest(N, np.unique(_majorities(N, out)))) < _total(N, out):
            out = step
        best = min(best, out, key=lambda words: _total(N, words))
    return best


def hashed(N: int, m: int, rng: np.random.Generator, tries: int) -> Words:
    """A random message for each secret, and the majority of its secrets as the guess."""
    _check(N, m)
    return _majorities(N, rng.integers(2**m, size=2**N))


def _majorities(N: int, messages: Words) -> Words:
    """Int64[2^N]: for each secret the bitwise majority of the secrets with its message."""
    count = np.bincount(messages)
    out = np.zeros(2**N, dtype=np.int64)
    for i in range(N):
        ones = np.bincount(messages, weights=np.arange(2**N) >> i & 1)
        out |= (2 * ones > count)[messages].astype(np.int64) << i
    return out


def _total(N: int, reconstructions: Words) -> int:
    return int(weights(N)[np.arange(2**N) ^ reconstructions].sum())


#: the encoders by name; all take (N, m, rng, tries), and only three of them draw
ENCODERS: dict[str, Encoder] = {
    "keep m bits": keep,
    "repetition": repetition,
    "packing": packing,
    "greedy linear": greedy_linear,
    "random codebook": random_book,
    "Lloyd": lloyd,
    "hash": hashed,
}


def within(N: int, reconstructions: Words) -> Words:
    """Int64[N+1]: how many of the 2^N secrets are at most k from their reconstruction, k = 0 .. N.

    >>> within(3, repetition(3, 1, np.random.default_rng(0), 0)).tolist()
    [2, 8, 8, 8]
    """
    distance = weights(N)[np.arange(2**N) ^ reconstructions]
    return np.cumsum(np.bincount(distance, minlength=N + 1))
