from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.sketch.knn_attention import KNNAttention
from kvbarrier.reductions.attention import attention


def test_an_estimate_by_hand():
    # Weights 8, 4, 1, 1, 1, 1 and values 1, 0, 0, 0, 0, 6. k = 1 takes the first; the order of the
    # coins is 5 0 1 .., and l = 2 of the five others are 5 and 1, which stand for 5/2 each:
    # (8 + 5/2 6) / (8 + 5/2 (1 + 4)) = 23 / 20.5.
    one = KNNAttention(Shape(6, 1, 1, extra=0), k=1, samples=2, dtype="fp32")
    one.order = np.array([5, 0, 1, 2, 3, 4])
    K = np.log(np.array([8, 4, 1, 1, 1, 1], dtype=np.float32))[:, None]
    V = np.array([1, 0, 0, 0, 0, 6], dtype=np.float32)[:, None]
    one.extend(K, K, V)
    assert one.attend(np.ones(1, np.float32)) == pytest.approx([23 / 20.5], abs=1e-6)


def test_k_nearest_and_an_unbiased_tail():
    # With two different scores a weight is its count times e^score. Each of the 36 others is in
    # T with probability 6/36 and counts 6: variance below 6, over 2000 seeds .003.
    S = np.zeros((1, 40))
    S[0, :4] = 1.0
    total = np.zeros(40)
    for seed in range(2000):
        one = KNNAttention(Shape(40, 8, 1), seed=seed, k=4, samples=6)
        W = one.weigh(np.zeros((1, 8)), S, None, None)[0]
        assert W[:4].tolist() == [1] * 4
        assert np.count_nonzero(W) == 10
        total += W
    assert total[4:] / 2000 == pytest.approx(1 / np.e, abs=5 * 0.055 / np.e)
    assert total.sum() / 2000 == pytest.approx(4 + 36 / np.e, rel=1e-5)


def test_without_samples_it_is_the_softmax_over_the_nearest():
    rng = np.random.default_rng(0)
    Q, K, V = rng.standard_normal((3, 64, 8)).astype(np.float32)
    one = KNNAttention(Shape(64, 8, 8), k=5, samples=0, dtype="fp32")
    one.extend(Q, K, V)
    for q in Q[:8]:
        nearest = np.argsort(K @ q)[-5:]
        assert one.attend(q) == pytest.approx(attention(q, K[nearest], V[nearest]), abs=1e-5)


def test_a_few_large_scores_and_a_flat_tail():
    # One key has weight 100, 255 have 1 each and values of their own mean: the tail is 72 % of the
    # weight. kNN attention alone errs by that; on a tail with large scores the sample is no help.
    rng = np.random.default_rng(3)
    errors = {}
    for tail in (0.0, 8.0):
        K = np.zeros((256, 16), dtype=np.float32)
        K[0, 0] = np.log(100)
        K[1:, 1] = tail * rng.standard_normal(255)
        V = np.zeros((256, 16), dtype=np.float32)
        V[0] = 1
        V[1:] = rng.choice([0.0, 0.2], (255, 16))
        q = np.zeros(16, dtype=np.float32)
        q[:2] = 1
        for samples in (0, 64):
            one = KNNAttention(Shape(256, 16, 16), k=1, samples=samples, dtype="fp32")
            one.extend(K, K, V)
            errors[tail, samples] = np.abs(one.attend(q) - attention(q, K, V)).max()
    assert errors[0.0, 64] < 0.05 < 0.5 < errors[0.0, 0]
    assert errors[8.0, 64] > 2 * errors[0.0, 64]
