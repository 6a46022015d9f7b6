"""Small encoders: against plain loops over all secrets, and codes whose balls are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions import codebooks

RNG = np.random.default_rng(0)


def test_nearest_against_all_distances() -> None:
    for N, size in ((1, 1), (5, 3), (6, 11)):
        book = RNG.choice(2**N, size, replace=False)
        found = codebooks.nearest(N, book)
        for x in range(2**N):
            assert found[x] == min(book, key=lambda w, x=x: ((x ^ int(w)).bit_count(), w))


@pytest.mark.parametrize("name", codebooks.ENCODERS)
@pytest.mark.parametrize("m", range(7))
def test_encoders_keep_to_their_messages_and_to_the_bound(name: str, m: int) -> None:
    out = codebooks.ENCODERS[name](6, m, np.random.default_rng(1), 3)
    assert len(np.unique(out)) <= 2**m
    counts = codebooks.within(6, out)
    distance = [(x ^ int(y)).bit_count() for x, y in enumerate(out)]
    for k in range(7):
        assert counts[k] == sum(d <= k for d in distance)
        assert counts[k] <= 2**m * sum(math.comb(6, j) for j in range(k + 1))


def test_encoders_that_are_known_codes() -> None:
    """Exact distortions: eviction (1 - m/N)/2, repetition(3,1) twice, Hamming(7,4) as lexicode."""
    keep = codebooks.within(6, codebooks.keep(6, 2, RNG, 0))
    assert keep.tolist() == [4 * sum(math.comb(4, j) for j in range(k + 1)) for k in range(7)]
    assert (
        codebooks.within(6, codebooks.repetition(6, 2, RNG, 0)).tolist() == [4, 28, 64] + [64] * 4
    )
    # perfect: the lexicode of distance 3 and length 7 is Hamming's, its balls fill the space
    assert codebooks.within(7, codebooks.packing(7, 4, RNG, 0)).tolist() == [16] + [128] * 7
    # and so is the greedy covering by one deep hole after another: distance 3 first, 1 in the end
    assert codebooks.within(3, codebooks.greedy_linear(3, 1, RNG, 0)).tolist() == [2, 8, 8, 8]


def test_lloyd_never_ends_worse_than_it_starts() -> None:
    for m in (2, 4):
        start = codebooks.random_book(8, m, np.random.default_rng(5), 1)
        end = codebooks.lloyd(8, m, np.random.default_rng(5), 1)
        ones = codebooks.weights(8)
        assert ones[np.arange(256) ^ end].sum() <= ones[np.arange(256) ^ start].sum()


def test_encoders_refuse_other_sizes() -> None:
    for N, m in ((0, 0), (21, 1), (4, 5), (4, -1)):
        with pytest.raises(BadInput, match="0 <= m <= N"):
            codebooks.keep(N, m, RNG, 0)
