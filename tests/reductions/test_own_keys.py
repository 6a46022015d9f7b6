"""Own keys: what is certified, against exact fractions and interval exponentials."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions.own_keys import equal_keys, own_limit, own_tokens, smallest_norm
from mpmath import iv, mp, mpf
from scipy.optimize import brentq

RHO = 3


def exactly_below(keys: Any, q: Any, i: int, line: Fraction) -> bool:
    """Whether S'_i < line for these float32 numbers: exact scores, exponentials in intervals.

    A float64 is a multiple of 2^-1074, so scores are integers times 2^-2148.
    """

    def whole(x: float) -> int:
        n, d = x.as_integer_ratio()
        return n * (2**1074 // d)

    exact = [whole(x) for x in q]
    scores = [sum(x * whole(y) for x, y in zip(exact, k, strict=True)) for k in keys]
    total, unit = iv.mpf(0), iv.mpf(2) ** -2148
    for l, score in enumerate(scores):
        if l != i:
            total += iv.exp(iv.mpf(score - scores[i]) * unit)
    return bool(total < iv.mpf(line.numerator) / line.denominator)


def _at_the_border(K: Any, i: int) -> tuple[float, float]:
    """Two norms within 1e-8 of each other: token i is above the line at one, below at the other."""

    def over(log_norm: float) -> float:
        return float(own_tokens(K, math.exp(log_norm)).a[i]) + math.log(RHO)

    ends = math.log(1e-1), math.log(1e2)
    if over(ends[1]) > 0:  # at no norm is it below
        return 1e2, 1e2
    root = brentq(over, *ends, xtol=2e-9)
    return math.exp(root - 4e-9), math.exp(root + 4e-9)


@pytest.mark.parametrize("block", range(4))
def test_no_token_is_certified_that_exact_arithmetic_refuses(block: int) -> None:
    """10,000 tokens in 500 sets; in a quarter of them the norm lies at the border of one token."""
    iv.dps, certified, near = 30, 0, 0
    for number in range(125 * block, 125 * block + 125):
        rng = np.random.default_rng(number)
        K = (rng.normal(size=(20, int(rng.integers(3, 9)))) + rng.normal()).astype(np.float32)
        found = own_tokens(K, _at_the_border(K, 0)[number % 2] if number % 8 < 2 else 2.0)
        near += int((np.abs(found.a + math.log(RHO)) < 1e-5).sum())
        for i in np.flatnonzero(found.certified):
            q = found.queries[i].tolist()
            assert exactly_below(K.tolist(), q, int(i), Fraction(1, RHO)), (number, i)
            assert sum(Fraction(x) ** 2 for x in q) <= Fraction(found.norm) ** 2
        certified += int(found.certified.sum())
    assert certified > 500
    assert near >= 10


def test_levels_against_exact_arithmetic() -> None:
    """1/(B-1) > w_i at the query sent, and no larger B is claimed than ceil(1/w_i)."""
    mp.dps = 40
    K = np.random.default_rng(3).normal(size=(64, 16)).astype(np.float32)
    gamma = 0.01
    found = own_tokens(K, 3.0, eta=None, gamma=gamma)
    g = Fraction(gamma)
    for i in range(0, 64, 7):
        q = [Fraction(x) for x in found.queries[i].tolist()]
        scores = [sum(x * Fraction(y) for x, y in zip(q, k, strict=True)) for k in K.tolist()]
        own = scores.pop(i)
        S = sum(mp.exp(mpf((s - own).numerator) / (s - own).denominator) for s in scores)
        zero = mp.exp(-mpf(own.numerator) / own.denominator)
        w = S + 2 * mpf(g.numerator) / g.denominator * (1 + S + zero)
        B = int(found.levels[i])
        assert int(mp.ceil(1 / w)) == B
    assert found.levels.max() > 8


def test_bits_of_levels_by_hand() -> None:
    """B = 50 at S' -> 0 and gamma = .01: log2 50 - h(.1) - .1 log2 49 a number."""
    K = np.eye(4, dtype=np.float32)
    limit = own_limit(own_tokens(K, 400.0, eta=None, gamma=0.01), 0.9)
    h = -(0.1 * math.log2(0.1) + 0.9 * math.log2(0.9))
    assert limit.secret_bits == pytest.approx(16 * math.log2(50))
    assert limit.bound_bits == pytest.approx(16 * (math.log2(50) - h - 0.1 * math.log2(49)))


def test_an_error_of_zero_leaves_the_levels_finite() -> None:
    found = own_tokens(np.eye(4, dtype=np.float32), 4000.0, eta=None, gamma=0.0)
    assert (found.levels == 2**53).all()
    assert math.isfinite(own_limit(found).bound_bits)


def test_square_keys_in_closed_form() -> None:
    """e^{-r}(2 + e^{-r}) < 1/3 along the own key, which is the best direction by symmetry."""
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)
    border = -math.log(math.sqrt(4 / 3) - 1)
    assert own_tokens(square, border * (1 + 1e-5)).certified.all()
    assert not own_tokens(square, border * (1 - 1e-5)).certified.any()


def test_reasons() -> None:
    K = np.array([[4, 0], [-4, 0], [0, 0], [0, 4], [0, 4]], dtype=np.float32)
    found = own_tokens(K, 2.0)
    assert found.reasons() == [None, None, "norm", "equal", "equal"]
    assert equal_keys(np.array([[0.0, 1], [-0.0, 1]], dtype=np.float32)).all()
    border = own_tokens(K, _at_the_border(K, 0)[0])
    pushed = replace(border, floor=np.full(5, -9.0))
    assert "rounding" in pushed.reasons()


def test_the_smallest_useful_norm() -> None:
    K = np.random.default_rng(1).normal(size=(128, 16)).astype(np.float32)
    found = own_tokens(K, 0.1)
    assert not found.certified.any()
    least = smallest_norm(K, found.rule, 0.1)
    assert least is not None
    assert own_tokens(K, least).certified.any()
    assert not own_tokens(K, least * 0.997).certified.any()


def test_equal_keys_have_no_useful_norm() -> None:
    K = np.ones((4, 3), dtype=np.float32)
    assert smallest_norm(K, own_tokens(K, 1.0).rule, 1.0) is None


def test_signs_need_less() -> None:
    K = np.random.default_rng(2).normal(size=(64, 16)).astype(np.float32)
    zeros_and_ones, signs = (own_tokens(K, 1.2, values=v).certified.sum() for v in ("01", "pm1"))
    assert 0 < zeros_and_ones < signs


@pytest.mark.parametrize(
    "keys", [np.ones(4), np.ones((1, 4)), np.array([[1.0, np.nan], [0, 1]]), np.ones((2, 2, 2))]
)
def test_other_arrays_are_refused(keys: Any) -> None:
    with pytest.raises(BadInput):
        own_tokens(keys, 1.0)


@pytest.mark.parametrize("error", [{"eta": 0.5}, {"eta": None, "gamma": 0.01}])
def test_of_keys_whose_scores_rounding_hides_nothing_is_certified(error: Any) -> None:
    # Scores of 1e31 are known to about 1e15: the factor for their rounding is infinite.
    keys = 1e30 * np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32)
    found = own_tokens(keys, 2.0, **error)
    assert not found.certified.any()
    assert own_limit(found).bound_bits == 0
    assert smallest_norm(keys, found.rule, 2.0) is None
