"""The statistics where they can fail: error rates on least favourable laws, from both sides.

A bound that is never violated can be vacuous, so each rate is held below what is promised and
above a fraction of it. Beside each stands the short cut that breaks the promise, on the same law.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.protocols.betting import interval, log_wealth_above, log_wealth_below
from kvbarrier.protocols.ledger import look_bits, sampled_surprise_bits, surprise_bits
from numpy.typing import NDArray
from scipy.special import betaincinv

Float64 = NDArray[np.float64]
LEVELS = range(1, 7)


def slack(rate: float, runs: int) -> float:
    """Four standard errors: a true rate at the bound passes all but once in 30,000 seeds."""
    return 4 * math.sqrt(rate * (1 - rate) / runs)


def first_reach(paths: Float64) -> list[float]:
    """Fraction of runs (rows) whose maximum over time reaches t bits, times 2^t, for t = 1..6."""
    peaks = paths.max(axis=1)
    return [float(np.mean(peaks >= t)) * 2**t for t in LEVELS]


# -- the ledger ---------------------------------------------------------------------------------


def coin_guesser(runs: int, messages: int, seed: int) -> tuple[Float64, Float64]:
    """Asked and wrong bits of a compressor that sends nothing, one bit a message.

    The least favourable law: with m = 0 the ledger is a martingale (no Kraft sum is wasted), and
    with one bit a message it hardly overshoots.
    """
    coins = np.random.default_rng(seed).integers(0, 2, size=(runs, messages), dtype=np.int32)
    return np.arange(1.0, messages + 1), np.cumsum(coins, axis=1).astype(np.float64)


def test_ledger_on_its_least_favourable_law() -> None:
    runs = 16_000
    asked, wrong = coin_guesser(runs, 500, seed=11)
    for t, scaled in zip(LEVELS, first_reach(surprise_bits(asked, 0.0, wrong)), strict=True):
        assert scaled <= 1 + 2**t * slack(2.0**-t, runs)
        assert scaled >= 0.45


def test_ledger_without_its_mixture_term_would_convict_the_honest() -> None:
    runs = 4_000
    asked, wrong = coin_guesser(runs, 500, seed=12)
    bare = surprise_bits(asked, 0.0, wrong) + np.log2(asked + 1)
    assert all(scaled > 1 + 2**t * slack(2.0**-t, runs)
               for t, scaled in zip(LEVELS, first_reach(bare), strict=True))  # fmt: skip


def test_ledger_with_lengths_that_depend_on_the_secret() -> None:
    # 4 secret bits. "0" means 0000; else "1" and the four bits: prefix-free, 1 or 5 bits, no error.
    # A gamble that wins 3 bits with probability 1/16 and pays 1 bit otherwise.
    runs, messages = 20_000, 120
    rng = np.random.default_rng(13)
    short = rng.integers(0, 16, size=(runs, messages)) == 0
    charged = np.cumsum(np.where(short, 1.0, 5.0), axis=1)
    asked = 4 * np.arange(1.0, messages + 1)
    reached = first_reach(surprise_bits(asked, charged, 0.0))
    for t, scaled in zip(LEVELS, reached, strict=True):
        assert scaled <= 1 + 2**t * slack(2.0**-t, runs)
    # 2^t Pr stays within reach although log2(N+1) is paid: one win is worth 3 - log2(5) = .68 bits.
    assert max(reached) > 0.01


def hypergeometric_sample(runs: int, N: int, K: int, R: int, seed: int) -> Float64:
    """Fractions wrong in R of N rows (one bit each), K of the N being wrong."""
    return np.random.default_rng(seed).hypergeometric(K, N - K, R, size=runs) / R


def test_sampled_bound_on_its_least_favourable_law() -> None:
    # Rows of one bit, and a code on the rate-distortion curve: K of N wrong, m = N (1 - h(K/N)).
    # Then A(k*) falls to nothing just below K; what is left is the Chernoff tail of the sample.
    runs, N, R = 200_000, 20_000, 40
    K = N // 10
    m = N * (1 - (-0.1 * math.log2(0.1) - 0.9 * math.log2(0.9)))
    error, times = np.unique(hypergeometric_sample(runs, N, K, R, seed=14), return_inverse=True)
    surprise = sampled_surprise_bits(float(N), m, error, float(R))[times]
    rates = [float(np.mean(surprise >= t)) for t in LEVELS]
    for t, rate in zip(LEVELS, rates, strict=True):
        assert rate <= 2.0**-t
    # No wrong row at all has probability .9^40 = .0148 and is worth 40 log2(1/.9) - 1 = 5.08 bits,
    # less what kappa falls short of .1: half of the 2^-5 that was promised.
    assert rates[4] == pytest.approx(0.9**40, rel=0.1)
    assert rates[4] * 2**5 > 0.4


def test_scaling_a_sample_up_would_convict_the_honest() -> None:
    # Time sharing that keeps .9 of 512 rows of 64 bits and guesses the rest; 16 rows asked. All 16
    # are kept with probability .9^16 = 18.5 %, and k = 0 scaled to all N then "proves" a cheat.
    runs, n, d, R = 20_000, 512, 64, 16
    N, m = float(n * d), round(0.9 * n) * float(d)
    rng = np.random.default_rng(15)
    lost = rng.hypergeometric(n - round(0.9 * n), round(0.9 * n), R, size=runs)
    error = rng.binomial(lost * d, 0.5) / (R * d)
    naive = surprise_bits(N, m, np.round(error * N))
    assert np.mean(naive >= 40) > 0.15
    ours = sampled_surprise_bits(N, m, error, float(R))
    assert not np.any(ours >= 1)


def test_sampled_bound_with_a_look_after_every_message() -> None:
    # The rate-distortion law again, 60 messages, the cost of looks taken off.
    runs, N, R, messages = 1_500, 2_000, 10, 60
    rng = np.random.default_rng(16)
    wrong = np.cumsum(rng.hypergeometric(N // 10, N - N // 10, R, size=(runs, messages)), axis=1)
    t = np.arange(1.0, messages + 1)
    m = N * (1 - (-0.1 * math.log2(0.1) - 0.9 * math.log2(0.9)))
    bound = sampled_surprise_bits(N * t, m * t, wrong / (R * t), R * t)
    for bits, peeked in zip(LEVELS, first_reach(bound - look_bits(t)), strict=True):
        assert peeked <= 1 + 2**bits * slack(2.0**-bits, runs)


# -- the guarantee and the interval ---------------------------------------------------------------


def lost_messages(runs: int, messages: int, seed: int, lost: float = 0.1) -> Float64:
    """float64[messages, runs]: a message is lost entirely (error 1/2) or answered without error."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random((messages, runs)) < lost, 0.5, 0.0)


def laws(runs: int, messages: int, mean: float, seed: int) -> dict[str, Float64]:
    """Laws of mean ``mean`` on [0, 1], from no spread to all there is."""
    rng = np.random.default_rng(seed)
    coin = rng.random((messages, runs))
    return {
        "all or nothing": (coin < mean).astype(np.float64),
        "lost messages": np.where(coin < 2 * mean, 0.5, 0.0),
        "rare disasters": np.where(coin < mean / 10, 1.0, mean * 0.9 / (1 - mean / 10)),
        "uniform": coin * 2 * mean,
        "2048 bits": rng.binomial(2048, mean, size=(messages, runs)) / 2048,
    }


@pytest.mark.parametrize("side", ["above", "below"])
def test_guarantee_at_the_border(side: str) -> None:
    # All buckets alike, mean 1/10 exactly: neither claim may be made in more than 5 % of runs,
    # with a look after each of 128 messages.
    runs, alpha = 3_000, 0.05
    log_wealth = log_wealth_above if side == "above" else log_wealth_below
    rates = {
        name: float(np.mean(log_wealth(e, 0.1).max(axis=0) >= -math.log(alpha)))
        for name, e in laws(runs, 128, 0.1, seed=17).items()
    }
    assert max(rates.values()) <= alpha + slack(alpha, runs)
    # All or nothing is least favourable: below, a run of 31 messages without error decides, with
    # probability .9^31 = .038.
    assert rates["all or nothing"] >= 0.4 * alpha
    if side == "below":
        assert rates["all or nothing"] == pytest.approx(0.9**31, abs=0.012)


def test_several_adversaries_at_the_border() -> None:
    # Sixteen adversaries with independent messages; the average of their wealths, peeked at.
    runs, alpha = 800, 0.05
    rng = np.random.default_rng(18)
    e = (rng.random((64, 16, runs)) < 0.1).astype(np.float64)
    parts = np.moveaxis(log_wealth_above(e, 0.1), 1, 0)
    average = np.logaddexp.reduce(parts, axis=0) - math.log(16)
    best = np.max(parts, axis=0)
    needed = -math.log(alpha)
    assert np.mean(average.max(axis=0) >= needed) <= alpha + slack(alpha, runs)
    # The short cut: the best adversary's wealth, uncorrected.
    assert np.mean(best.max(axis=0) >= needed) > 2 * alpha


def uncovered_by_bets(e: Float64, mean: float, alpha: float) -> Float64:
    """bool[messages, runs]: the interval after each message leaves the mean out."""
    needed = math.log(2 / alpha)
    return (log_wealth_above(e, mean) >= needed) | (log_wealth_below(e, mean) >= needed)


def clopper_pearson_misses(wrong: Float64, bits: Float64, mean: float, alpha: float) -> Float64:
    """bool: the pooled Clopper-Pearson interval on ``bits`` leaves the mean out."""
    low = np.where(wrong > 0, betaincinv(np.maximum(wrong, 1), bits - wrong + 1, alpha / 2), 0.0)
    high = betaincinv(wrong + 1, bits - wrong, 1 - alpha / 2)
    return (mean < low) | (mean > high)


def test_intervals_on_lost_messages_with_peeking() -> None:
    # T = 20 messages, 10 % of them lost: mean error 1/20.
    runs, alpha = 5_000, 0.05
    e = lost_messages(runs, 20, seed=19)
    missed = uncovered_by_bets(e, 0.05, alpha)
    assert 0.1 * alpha <= np.mean(missed.any(axis=0)) <= alpha + slack(alpha, runs)
    # Pooled bits are not independent: the nominal 5 % are 40 % at the end, and more with peeking.
    rng = np.random.default_rng(20)
    wrong = np.cumsum(rng.binomial((2 * 2048 * e).astype(int), 0.5), axis=0)
    bits = 2048.0 * np.arange(1, 21)[:, None]
    pooled = clopper_pearson_misses(wrong, bits, 0.05, alpha)
    assert np.mean(pooled[-1]) > 0.3
    assert np.mean(pooled.any(axis=0)) > 0.8


@pytest.mark.parametrize("mean", [0.02, 0.1, 0.35, 0.5])
def test_intervals_on_many_laws_with_peeking(mean: float) -> None:
    runs, alpha = 1_500, 0.1
    rates = {
        name: float(np.mean(uncovered_by_bets(e, mean, alpha).any(axis=0)))
        for name, e in laws(runs, 100, mean, seed=21).items()
    }
    assert max(rates.values()) <= alpha + slack(alpha, runs)
    assert max(rates.values()) >= 0.15 * alpha


def test_interval_ends_agree_with_the_processes() -> None:
    # Coverage above was read off the wealth at the mean; the bisected ends say the same.
    e = lost_messages(80, 20, seed=22)
    inside = [low <= 0.05 <= high for low, high in (interval(e[:, r]) for r in range(80))]
    assert inside == (~uncovered_by_bets(e, 0.05, 0.05)[-1]).tolist()


def test_intervals_are_not_vacuous() -> None:
    # 256 messages, 10 % lost: mean .05 with standard error .0094, so 1.96 of these are +- .018.
    # Twice that on either side, [.013, .087], holds an anytime-valid interval most of the time.
    e = lost_messages(40, 256, seed=23)
    ends = np.array([interval(e[:, r]) for r in range(40)])
    assert np.mean(np.diff(ends) < 2 * 2 * 0.018) > 0.9
