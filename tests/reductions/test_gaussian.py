"""The average case: keys from public coins, S'_i of what is sent, the condition from both sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions.gaussian import (
    GaussianReduction,
    average_rate,
    closed_theta,
    drawn_keys,
)
from scipy import integrate, stats

FAMILY = GaussianReduction.build(96, 16, 2.5, 0.5)


def exact(family: GaussianReduction, seed: int) -> np.ndarray:
    """S'_i of real scores of the float32 keys and queries, in float64, pair by pair."""
    K = drawn_keys(family.n, family.d, seed).astype(np.float64)
    Q = (K * (family.beta / math.sqrt(family.d))).astype(np.float32).astype(np.float64)
    return np.array(
        [
            sum(math.exp(Q[i] @ (K[l] - K[i])) for l in range(family.n) if l != i)
            for i in range(family.n)
        ]
    )


def test_keys_are_a_function_of_the_messages_coins() -> None:
    first, again, other = (drawn_keys(64, 8, seed) for seed in (5, 5, 6))
    assert first.dtype == np.float32
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.2
    # N(0, 1): 64 * 512 of them, five standard deviations of mean, variance and fourth moment.
    many = np.stack([drawn_keys(64, 8, seed) for seed in range(64)]).astype(np.float64)
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
        assert abs((many**power).mean() - mean) < 5 * math.sqrt(variance / many.size)
    first[:] = 0  # what is handed out is the receiver's own
    assert np.array_equal(drawn_keys(64, 8, 5), again)


def test_they_are_not_the_coins_that_a_compressor_draws_with() -> None:
    for step in range(4):
        coins = np.random.Generator(np.random.Philox(key=np.array([5, step], dtype=np.uint64)))
        assert not np.array_equal(coins.standard_normal((64, 8), np.float32), drawn_keys(64, 8, 5))


def test_bob_guesses_exactly_where_interference_reaches_1_over_rho() -> None:
    found = []
    for seed in range(6):
        S, hard = exact(FAMILY, seed), FAMILY.of_message(seed)
        assert np.array_equal(hard.unread(), S >= 1 / 3)
        assert np.array_equal(hard.unread([7, 3]), (S >= 1 / 3)[[7, 3]])
        assert np.array_equal(np.isinf(hard.thresholds()), S >= 1 / 3)
        found.append((S >= 1 / 3).mean())
    assert 0 < np.mean(found) < 1


def test_the_condition_is_tight_from_both_sides() -> None:
    hard = FAMILY.of_message(1)
    S = exact(FAMILY, 1)
    K = drawn_keys(FAMILY.n, FAMILY.d, 1).astype(np.float64)
    Q, Kb, Vb = hard.queries()
    assert not Kb.any()
    assert not Vb.any()
    weights = np.exp(Q.astype(np.float64) @ K.T)
    weights /= weights.sum(axis=1, keepdims=True) + 1  # Bob's own token has key 0
    own = np.diag(weights)
    # The two hardest secrets of a row: its bit alone, and all others. Moved by nearly eta.
    alone, others = own, weights.sum(axis=1) - own
    low, high = (1 - 0.999 * 0.5) * alone, (1 + 0.999 * 0.5) * others
    read = S < 1 / 3
    assert read.any()
    assert (~read).any()
    cut = hard.thresholds().astype(np.float64)
    assert (low[read] > cut[read]).all()
    assert (high[read] < cut[read]).all()
    # No threshold separates the others, moved by all of eta.
    assert (1.5 * others[~read] >= 0.5 * alone[~read]).all()


@pytest.mark.parametrize(("n", "d", "beta"), [(512, 64, 2.0), (64, 32, 1.0), (4096, 128, 1.5)])
def test_the_closed_form_is_markov_over_the_norms_law(n: int, d: int, beta: float) -> None:
    # E e^{<q,k_l> - <q,k_i>} given |k_i|^2 = s is exp(beta^2 s/(2d) - beta s/sqrt(d)), s ~ chi^2_d.
    law = stats.chi2(d)
    mean, _ = integrate.quad(
        lambda s: math.exp(beta**2 * s / (2 * d) - beta * s / math.sqrt(d)) * law.pdf(s), 0, 10 * d
    )
    assert closed_theta(n, d, beta, 0.5) == pytest.approx(min(1, 3 * (n - 1) * mean), rel=1e-6)


def test_the_published_monte_carlo_values_come_again() -> None:
    # Computed outside the project: d = 64, beta = 1.5, N = 512: theta = .021, rate .499.
    family = GaussianReduction.build(512, 64, 1.5, 0.5)
    unread = np.concatenate([family.of_message(seed).unread() for seed in range(24)])
    assert unread.mean() == pytest.approx(0.021, abs=0.006)
    assert average_rate(0.021) == pytest.approx(0.499, abs=0.001)
    assert unread.mean() < closed_theta(512, 64, 1.5, 0.5)


def test_public_says_keys_and_no_more_than_the_coins_do() -> None:
    told = FAMILY.of_message(9).public()
    assert told["redrawn"] is True
    assert np.array_equal(told["keys"], drawn_keys(96, 16, 9))
    assert (told["beta"], told["values"], told["attention"]) == (2.5, "01", "softmax")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"n": 15}, "n >= 16"),
        ({"d": 1}, "d >= 2"),
        ({"beta": 0.0}, "give --beta above 0"),
        ({"beta": math.nan}, "give --beta above 0"),
        ({"beta": math.inf}, "where float32 scores begin to blur"),
        # ln(2)/2 * 2^24 / (18 * 2 * 4) = 40378.7
        ({"beta": 40_400.0, "d": 16}, r"below 4\.04e\+04"),
        ({"eta": 1.0}, "eta < 1"),
    ],
)
def test_bad_sizes_are_refused(change: dict[str, float], part: str) -> None:
    with pytest.raises(BadInput, match=part):
        GaussianReduction.build(**({"n": 64, "d": 16, "beta": 2.0, "eta": 0.5} | change))
