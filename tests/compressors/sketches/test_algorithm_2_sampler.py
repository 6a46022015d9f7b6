from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.sketch.algorithm_2 import Algorithm2, count_winners
from kvbarrier.compressors.zoo.sketch.full_cache import highest
from kvbarrier.reductions.attention import attention
from kvbarrier.reductions.lazy_gumbel import lazy_draws, top_set

from tests.naive.algorithm_2 import count_winners as naive_winners


@pytest.mark.parametrize("kernel", [count_winners, count_winners.py_func])
def test_the_kernel_its_twin_and_the_sampler(kernel):
    rng = np.random.default_rng(0)
    S = rng.standard_normal((6, 30)) * np.array([0, 1, 1, 3, 3, 20])[:, None]
    for k in (1, 5, 30):
        inside, W = highest(S, k), np.zeros((6, 30), np.float32)
        kernel(S, inside, np.uint64(7), 9, W)
        for row in range(6):
            assert W[row].tolist() == naive_winners(S[row].tolist(), inside[row], 7, 9)
            winners, _ = lazy_draws(S[row], top_set(S[row], k), 7, 9)
            assert W[row].tolist() == np.bincount(winners, minlength=30).tolist()


def test_it_is_unbiased_with_the_softmaxs_variance():
    # 1-coordinate scores, values 0 or 1 with mean p under the softmax: a mean of 16 draws has
    # variance p (1 - p) / 16, and its estimate from 800 seeds is off by about 5 % of that.
    rng = np.random.default_rng(1)
    K = rng.standard_normal((50, 4)).astype(np.float32)
    V = rng.choice([0.0, 1.0], (50, 3)).astype(np.float32)
    q = rng.standard_normal(4).astype(np.float32)
    exact = attention(q, K, V)
    answers = []
    for seed in range(800):
        one = Algorithm2(Shape(50, 4, 3), seed=seed, draws=16, dtype="fp32")
        one.extend(K, K, V)
        answers.append(one.attend(q))
    answers = np.array(answers)
    variance = exact * (1 - exact) / 16
    assert answers.mean(axis=0) == pytest.approx(exact, abs=5 * np.sqrt(variance.max() / 800))
    assert answers.var(axis=0) == pytest.approx(variance, rel=0.25)
    assert (np.abs(answers * 16 - np.round(answers * 16)) < 1e-5).all()


def test_a_sharp_softmax_is_answered_well_and_a_flat_one_to_a_coin():
    rng = np.random.default_rng(2)
    K = rng.standard_normal((100, 32)).astype(np.float32)
    K /= np.linalg.norm(K, axis=1, keepdims=True)
    V = rng.choice([0.0, 1.0], (100, 32)).astype(np.float32)
    one = Algorithm2(Shape(100, 32, 32), draws=4)
    one.extend(K, K, V)
    errors = [
        np.mean([np.abs(one.attend(B * k) - attention(B * k, K, V)).mean() for k in K])
        for B in (40, 0)
    ]
    # Of 4 draws of fair coins the mean is off by .1875 on average (6/16 0 + 8/16 1/4 + 2/16 1/2).
    assert errors[0] < 0.01
    assert errors[1] == pytest.approx(0.1875, abs=0.08)
