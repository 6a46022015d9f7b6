"""Optimal protocols: against brute force over all of them, and by hand from covering numbers."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions.bounds import CODES
from kvbarrier.reductions.protocol_optimum import (
    Chain,
    by_codebooks,
    by_partitions,
    by_subsets,
    cell_costs,
    chain,
    cheapest_splits,
    partitions,
)

RNG = np.random.default_rng(0)

# Total errors T, least over protocols; the mean bit error is T / (N 2^N).
#
# A guess word is right on one secret at most, so T >= 2^N - L, with equality iff the L words cover
# {0,1}^N within distance 1: iff L >= K(N,1), the covering number. K(1,1) = 1, K(2,1) = K(3,1) = 2,
# K(4,1) = 4 (Cohen, Honkala, Litsyn, Lobstein, Covering Codes, 1997, table 6.1).
# One word: N 2^N / 2. N = 4, two words at distance t: 16 (E min(W, t-W) + (4-t)/2) with W binomial
# (t, 1/2), that is 20 for t = 4 and 3, and 24 for t = 2 and 1. Three words: A(4,3) = 2, so some two
# are at distance 1 or 2 and their balls of radius 1 share two secrets; the three balls hold at most
# 15 - 2 = 13, so T >= (13 - 3) + 2 (16 - 13) = 16, met by 0000, 1111, 0001.
GOLDEN = {
    1: [1, 0],
    2: [4, 2, 1, 0],
    3: [12, 6, 5, 4, 3, 2, 1, 0],
    4: [32, 20, 16, *range(12, -1, -1)],
}


@pytest.mark.parametrize("N", GOLDEN)
def test_the_optimum_is_the_derived_one(N: int) -> None:
    assert by_subsets(N)[0] == GOLDEN[N]
    assert by_codebooks(N) == GOLDEN[N]
    if N <= 3:
        assert by_partitions(N) == GOLDEN[N]


def test_one_bit_about_three_is_repetition() -> None:
    assert Fraction(by_partitions(3)[1], 3 * 2**3) == Fraction(1, 4)
    assert Fraction(1, 4) == next(c.distortion for c in CODES if c.name == "repetition(3,1)")


@pytest.mark.parametrize(("N", "L"), [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2)])
def test_every_encoder_with_every_decoder(N: int, L: int) -> None:
    """No names divided out, no majority, no nearest word: all pairs of functions."""
    least = min(
        sum((x ^ guess[message]).bit_count() for x, message in enumerate(encoder))
        for encoder in itertools.product(range(L), repeat=2**N)
        for guess in itertools.product(range(2**N), repeat=L)
    )
    assert least == GOLDEN[N][L - 1]


def test_stirling_and_bell_numbers() -> None:
    found = [len(cells) for cells in partitions(8)]
    assert len(found) == len(set(partitions(8))) == 4140
    assert [found.count(k) for k in range(1, 9)] == [1, 127, 966, 1701, 1050, 266, 28, 1]


def naive_split(cost: np.ndarray, whole: int, levels: int) -> int:
    """The least cost of splitting a set into at most ``levels`` cells, by plain recursion."""
    if whole == 0:
        return 0
    if levels == 0:
        return 1 << 30
    parts = [p for p in range(1, whole + 1) if p & whole == p]
    return min(int(cost[p]) + naive_split(cost, whole ^ p, levels - 1) for p in parts)


@pytest.mark.parametrize("kernel", [cheapest_splits, cheapest_splits.py_func], ids=["jit", "plain"])
def test_splits_against_recursion(kernel) -> None:
    cost = RNG.integers(0, 20, 2**4).astype(np.int32)
    cost[0] = 0
    best, first = kernel(cost, 3)
    for level in range(4):
        for whole in range(2**4):
            assert best[level, whole] == naive_split(cost, whole, level)
            if level and whole:
                cell = first[level, whole]
                assert best[level, whole] == cost[cell] + best[level - 1, whole ^ cell]


def test_jit_on_and_off_agree() -> None:
    cost = cell_costs(2)
    assert all(map(np.array_equal, cheapest_splits(cost, 4), cheapest_splits.py_func(cost, 4)))
    cost = cell_costs(3)
    assert all(map(np.array_equal, cheapest_splits(cost, 3), cheapest_splits.py_func(cost, 3)))


def test_the_optimal_partitions_have_the_optimal_cost() -> None:
    for N in (2, 3, 4):
        errors, splits = by_subsets(N)
        for L, (error, cells) in enumerate(zip(errors, splits, strict=True), start=1):
            assert len(cells) <= L
            assert sorted(x for cell in cells for x in cell) == list(range(2**N))
            cost = 0
            for cell in cells:
                ones = [sum(x >> i & 1 for x in cell) for i in range(N)]
                cost += sum(min(c, len(cell) - c) for c in ones)
            assert cost == error


def entropy(*shares: float) -> float:
    return -math.fsum(p * math.log2(p) for p in shares if p)


def test_the_chain_of_repetition_by_hand() -> None:
    """{000,001,010,100} and the rest: e_i = 1/4, the bits given M have entropy h(1/4) each."""
    link = chain(3, ((0, 1, 2, 4), (3, 5, 6, 7)))
    h = entropy(0.25, 0.75)
    for value, wanted in zip(
        (link.concave, link.fano, link.marginal, link.joint, link.length),
        (3 * (1 - h), 3 * (1 - h), 3 * (1 - h), 1.0, 1.0),
        strict=True,
    ):
        assert value == pytest.approx(wanted, abs=1e-15)


def test_the_chain_from_the_joint_law() -> None:
    """I(X;M) and I(X_i;M) from the joint table of (x, message), in another way."""
    for cells in itertools.islice(partitions(8), 0, None, 97):
        link = chain(3, cells)
        sizes = [len(cell) / 8 for cell in cells]
        assert link.joint == pytest.approx(entropy(*sizes), abs=1e-12)
        marginal = 0.0
        for i in range(3):
            table = [[sum((x >> i & 1) == b for x in cell) / 8 for b in (0, 1)] for cell in cells]
            marginal += entropy(*sizes) + 1.0 - entropy(*itertools.chain(*table))
        assert link.marginal == pytest.approx(marginal, abs=1e-12)
        assert min(link.slacks) > -1e-12


def test_a_message_with_room_and_what_is_no_protocol() -> None:
    assert chain(1, ((0,), (1,)), 4) == Chain(1.0, 1.0, 1.0, 1.0, 2.0)
    for cells, L in ((((0,),), 2), (((0, 1), (1,)), 2), (((0,), (1,)), 1)):
        with pytest.raises(BadInput, match="is a partition of the 2 secrets"):
            chain(1, cells, L)


@pytest.mark.parametrize("function", [by_partitions, by_codebooks, by_subsets])
def test_sizes_that_do_not_end(function) -> None:
    for N in (0, 5):
        with pytest.raises(BadInput, match="use a smaller N, or Fano's bound"):
            function(N)
