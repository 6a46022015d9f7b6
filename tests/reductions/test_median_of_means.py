"""Theorem 25's numbers, and the inequalities behind them on the worst two-point laws."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions.median_of_means import (
    copies_of_plain_mean,
    copies_per_mean,
    means_in_median,
)
from scipy import stats


def test_the_numbers():
    # 4 * 3 / .1^2 = 1200; 8 ln(2 * 10 * 5 / .05) = 60.8
    assert copies_per_mean(0.1, 3) == 1200
    assert means_in_median(0.05, 50) == math.ceil(8 * math.log(2000)) == 61
    # (3-1)^2 ln(2/.05) / (2 * .01) = 737.8
    assert copies_of_plain_mean(0.1, 0.05, 3) == 738
    assert copies_of_plain_mean(0.1, 0.05, 1) == 1


@pytest.mark.parametrize("kappa", [1, 2, 8, 100])
def test_the_variance_is_below_kappa_minus_1(kappa):
    # Every law on [1, kappa] with mean mu has at most the variance of the one on its ends.
    for step in range(101):
        p = Fraction(step, 100)
        mu = 1 + p * (kappa - 1)
        variance = p * (1 - p) * (kappa - 1) ** 2
        assert variance <= (kappa - 1) * mu**2
        assert variance <= Fraction((kappa - 1) ** 2, 4 * kappa) * mu**2


def test_the_median_fails_as_rarely_as_promised():
    for delta in (0.5, 0.1, 0.01, 1e-6):
        t = means_in_median(delta)
        # Half of t means off or more, each with probability 1/4: the exact binomial tail.
        assert stats.binom.sf(math.ceil(t / 2) - 1, t, 0.25) <= delta / 2


def test_where_the_plain_mean_is_cheaper():
    def plain(kappa):
        return (kappa - 1) ** 2 / 2

    assert plain(65.98) < 32 * 65.98
    assert plain(65.99) > 32 * 65.99


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: copies_per_mean(0, 2), "0 < eps < 1"),
        (lambda: copies_per_mean(0.5, 0.9), "kappa = vmax/vmin"),
        (lambda: copies_per_mean(0.5, math.inf), "kappa = vmax/vmin"),
        (lambda: means_in_median(1.0), "0 < delta < 1"),
        (lambda: means_in_median(0.1, 0), "one coordinate"),
        (lambda: copies_of_plain_mean(1.0, 0.1, 2), "0 < eps < 1"),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(BadInput, match=words):
        call()
