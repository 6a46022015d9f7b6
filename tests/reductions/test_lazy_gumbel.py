"""Algorithm 2: the kernel is its plain twin, the draws are the softmax's, m has its exact law."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions import lazy_gumbel as lazy
from scipy import stats

from tests.naive.lazy_gumbel import algorithm_2

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15


def mixed(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def twin(scores: list[float], top: list[int], seed: int, draws: int) -> list[tuple[int, int]]:
    """Algorithm 2 as clocks, in Python integers and floats, over lists."""
    state = mixed(seed)

    def coin() -> float:
        nonlocal state
        state = (state + GAMMA) & MASK
        return ((mixed(state) >> 12) + 0.5) / 2**52

    outside = [i for i in range(len(scores)) if i not in top]
    out = []
    for _ in range(draws):
        perturbed = {i: scores[i] - np.log(-np.log(coin())) for i in top}
        B = max(perturbed.values()) - min(scores[i] for i in top)
        rang, clock = [], 0.0
        while len(rang) < len(outside):
            left = len(outside) - len(rang)
            clock -= np.log(coin()) / left
            if clock >= np.exp(-B):
                break
            place = len(rang) + int(coin() * left)
            outside[len(rang)], outside[place] = outside[place], outside[len(rang)]
            rang.append(outside[len(rang)])
            perturbed[rang[-1]] = scores[rang[-1]] - np.log(clock)
        out.append((max(perturbed, key=lambda i: perturbed[i]), len(rang)))
    return out


def test_the_coins_are_splitmix64() -> None:
    # The published outputs of SplitMix64 from state 1234567: mix(state + i gamma), i = 1, 2, 3.
    state = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * np.uint64(GAMMA)
    assert lazy.mix.py_func(state).tolist() == [
        6457827717110365317, 3203168211198807973, 9817491932198370423,
    ]  # fmt: skip
    assert [int(lazy.mix(word)) for word in state] == lazy.mix.py_func(state).tolist()


@pytest.mark.parametrize("word", [0, 1, MASK, MASK - 1, 1 << 63])
def test_a_coin_is_strictly_between_0_and_1(word: int) -> None:
    for unit in (lazy.unit, lazy.unit.py_func):
        assert unit(np.uint64(word)) == ((word >> 12) + 0.5) / 2**52
        assert 0.0 < unit(np.uint64(word)) < 1.0


@pytest.mark.parametrize("n", [1, 2, 9, 40])
@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_the_kernel_is_its_twin(n: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(n).standard_normal(n)
    top = lazy.top_set(scores, math.isqrt(n))
    want = twin(scores.tolist(), top.tolist(), seed, 40)
    winners, m = lazy.lazy_draws(scores, top, seed, 40)
    assert list(zip(winners.tolist(), m.tolist(), strict=True)) == want
    for name in ("mix", "unit", "draw_lazily"):
        monkeypatch.setattr(lazy, name, getattr(lazy, name).py_func)
    with np.errstate(over="ignore"):
        winners, m = lazy.lazy_draws(scores, top, seed, 40)
    assert list(zip(winners.tolist(), m.tolist(), strict=True)) == want


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
def test_the_draws_are_the_softmax_and_m_is_beta_binomial(spread: float) -> None:
    n, k, draws = 30, 5, 20_000
    scores = spread * np.random.default_rng(3).standard_normal(n)
    top = lazy.top_set(scores, k)
    share = np.exp(scores) / np.exp(scores).sum()
    a = np.exp(scores[top] - scores[top].min()).sum()
    winners, m = lazy.lazy_draws(scores, top, 11, draws)
    rng = np.random.default_rng(5)
    literal = np.array([algorithm_2(scores, top, rng) for _ in range(draws // 5)])
    for w, count in ((winners, m), (literal[:, 0], literal[:, 1])):
        assert _p_value(np.bincount(w, minlength=n), len(w) * share) > 1e-3
        law = stats.betabinom(n - k, 1, a).pmf(np.arange(n - k + 1))
        assert _p_value(np.bincount(count, minlength=n - k + 1), len(w) * law) > 1e-3


def _p_value(observed: np.ndarray, expected: np.ndarray) -> float:
    few = expected < 5
    o, e = list(observed[~few]), list(expected[~few])
    if few.any() and expected[few].sum() >= 5:
        o, e = [*o, observed[few].sum()], [*e, expected[few].sum()]
    o, e = np.array(o, float), np.array(e)
    return float(stats.chi2.sf(((o - e) ** 2 / e).sum(), len(o) - 1))


def test_a_set_that_is_not_the_top_draws_something_else() -> None:
    scores = np.linspace(0.0, 4.0, 30)
    share = np.exp(scores) / np.exp(scores).sum()
    winners, _ = lazy.lazy_draws(scores, np.array([0, 1, 28, 29]), 1, 20_000)
    assert _p_value(np.bincount(winners, minlength=30), 20_000 * share) < 1e-6


@pytest.mark.parametrize(("n", "k"), [(2, 1), (10, 3), (100, 10)])
def test_the_mean_of_m(n: int, k: int) -> None:
    # Equal scores: the j-th of the n - k outside is next before the k inside with probability
    # (n-k-j)/(n-j); E[m] sums the products, exactly (n-k)/(k+1), and that is below n/k.
    mean, still = Fraction(0), Fraction(1)
    for j in range(n - k):
        still *= Fraction(n - k - j, n - j)
        mean += still
    assert mean == Fraction(n - k, k + 1) < Fraction(n, k)
    assert lazy.expected_lazy(np.zeros(n), np.arange(k)) == pytest.approx(float(mean), rel=1e-14)
    # One score far above the rest: nothing is drawn lazily.
    assert lazy.expected_lazy(np.array([900.0, 0.0, 0.0]), np.array([0, 1])) == 0.0
    # Scores ln 1, ln 2 inside: a = 1 + 2 = 3.
    assert lazy.expected_lazy(np.log([1.0, 2.0, 0.5]), np.array([0, 1])) == pytest.approx(1 / 4)


def test_top_set() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, 50).astype(float)
    for k in (1, 7, 50):
        want = sorted(sorted(range(50), key=lambda i: (-scores[i], i))[:k])
        assert lazy.top_set(scores, k).tolist() == want
    for k in (0, 51):
        with pytest.raises(BadInput, match=r"must have 1 to n = 50 scores, not \d+: choose k"):
            lazy.top_set(scores, k)


def test_a_growing_buffer() -> None:
    falling, rising = list(range(1000, 0, -1)), list(range(1000))
    assert lazy.buffer_of(falling, math.isqrt).tolist() == [j * j - 1 for j in range(1, 32)]
    assert lazy.buffer_of(rising, math.isqrt).tolist() == list(range(1000 - 31, 1000))
    keys = np.random.default_rng(1).integers(0, 40, 300).astype(float)
    assert lazy.buffer_of(keys.tolist(), lambda t: 17).tolist() == lazy.top_set(keys, 17).tolist()
    assert lazy.buffer_of([], math.isqrt).tolist() == []


def test_bad_input() -> None:
    scores = np.zeros(4)
    for top in ([], [0, 0], [4], [-1]):
        with pytest.raises(BadInput, match="distinct indices from 0 to 3, at least one: use top"):
            lazy.lazy_draws(scores, np.array(top, dtype=np.int64), 0, 1)
    with pytest.raises(BadInput, match="needs finite scores"):
        lazy.lazy_draws(np.array([0.0, np.nan]), np.array([0]), 0, 1)
