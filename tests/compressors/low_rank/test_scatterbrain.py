"""Scatterbrain: its definition, its theorem, and where it beats each of its two parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow
from kvbarrier.compressors.zoo.low_rank.scatterbrain import Scatterbrain
from kvbarrier.compressors.zoo.sketch.performer import Performer
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=64, d_k=16, d_v=16)


def stream(n, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    return [(size * rng.standard_normal((n, 16))).astype(np.float32) for _ in range(3)]


@pytest.mark.parametrize("window", [1, 20, 65])
def test_cut_anywhere_gives_the_same_message(window):
    Q, K, V = stream(64)
    whole, loop, cut = (Scatterbrain(SHAPE, seed=3, m=20, window=window) for _ in range(3))
    whole.extend(Q, K, V)
    for row in zip(Q, K, V, strict=True):
        loop.append(*row)
    cut.extend(Q[:23], K[:23], V[:23])
    other = cut.fresh()
    other.restore(cut.save())
    other.extend(Q[23:], K[23:], V[23:])
    assert whole.save() == loop.save() == other.save()
    assert len(whole.save()) == whole.message_bytes
    with pytest.raises(PluginFailure):
        other.restore(whole.save()[:-1])


@pytest.mark.parametrize("size", [0.3, 1, 4])
@pytest.mark.parametrize(("held", "window"), [(0, 8), (5, 8), (40, 8), (40, 1)])
def test_batched_doors_answer_as_the_loop(size, held, window):
    Q, K, V = stream(64, size=size)
    one = Scatterbrain(SHAPE, m=20, window=window, rounds=1)
    one.extend(Q[:held], K[:held], V[:held])
    before = one.save()
    got, loop = one.next_outputs(Q, K, V), Compressor.next_outputs(one, Q, K, V)
    assert got == pytest.approx(loop, abs=2e-5 * size)
    got, loop = one.block_outputs(Q, K, V), Compressor.block_outputs(one, Q, K, V)
    assert got == pytest.approx(loop, abs=2e-5 * size)
    assert one.save() == before


@pytest.mark.parametrize("share", [64, 16, 8, 2, 1])
def test_the_budget_is_kept_and_used(share):
    budget, feature, token = SHAPE.cache_bits_16 // share, 32 * 17, 16 * 32
    least = 32 + 2 * feature + token
    if budget < least:
        with pytest.raises(BudgetTooSmall) as caught:
            Scatterbrain(SHAPE, budget)
        assert caught.value.minimum_bits == least
        budget = least
    one = Scatterbrain(SHAPE, budget)
    used = 8 * one.message_bytes
    assert used == 32 + one.features * feature + one.window * token
    assert budget - token < used <= budget
    assert Scatterbrain(SHAPE, budget, m=2).window == (budget - 32 - 2 * feature) // token
    assert Scatterbrain(SHAPE, budget, window=1).features >= one.features
    with pytest.raises(BudgetTooSmall):
        Scatterbrain(SHAPE, budget, m=one.features, window=one.window + 1)


@pytest.mark.parametrize("size", [0.3, 1.0])
def test_it_is_the_low_rank_estimate_corrected_on_its_support(size):
    # Their definition, with the sums over all tokens and the correction e^{<q,k>} - phi(q) phi(k).
    Q, K, V = (X.astype(np.float16).astype(np.float64) for X in stream(64, size=size))
    one = Scatterbrain(SHAPE, m=32, window=24, rounds=2)
    one.extend(*(X.astype(np.float32) for X in (Q, K, V)))
    W = one.low_rank.directions
    assert (W[16:] == -W[:16]).all()

    def phi(x):
        return np.exp(W @ x - x @ x / 2) / np.sqrt(32)

    held, count = range(40, 64), 0
    for q in Q:
        S = np.sum([np.outer(phi(k), v) for k, v in zip(K, V, strict=True)], axis=0)
        z = np.sum([phi(k) for k in K], axis=0)
        top, bottom = phi(q) @ S, phi(q) @ z
        for t in held:
            if (one.hashes(q[None]) == one.hashes(K[t][None])).any():
                correction = np.exp(q @ K[t]) - phi(q) @ phi(K[t])
                top, bottom = top + correction * V[t], bottom + correction
                count += 1
        assert one.attend(q.astype(np.float32)) == pytest.approx(top / bottom, abs=1e-4)
    assert 0 < count < 64 * 24


def test_the_estimate_is_unbiased_and_the_hash_takes_away_its_share_of_the_variance():
    # Theorem: Var = (1 - p) Var of the features alone, p the probability of a common bucket. With
    # one sign for a hash p = 1 - angle/pi. One pair of mirrored features is e^{-r^2} cosh <w, z>
    # for z = q + k, |q| = |k| = r, so its variance is e^{-2 r^2} (e^{|z|^2} - 1)^2 / 2.
    # Pairs in orthogonal planes are independent draws; the cosh has heavy tails, hence the many.
    r, cosine, draws = 0.3, 0.6, 20000
    q, k = np.zeros((2, 8, 16))
    pair = np.arange(8)
    q[pair, 2 * pair] = r
    k[pair, 2 * pair], k[pair, 2 * pair + 1] = r * cosine, r * 0.8
    shape = Shape(tokens=1, d_k=16, d_v=1)
    found = np.empty((2, draws // 8, 8))
    for seed in range(draws // 8):
        one = Scatterbrain(shape, seed=seed, m=2, rounds=1, buckets=2)
        logs = one.log_weights(q, k, one.log_features(q), one.hashes(q))
        found[:, seed] = logs.diagonal(), (one.hashes(q) == one.hashes(k))[:, 0]
    truth = math.exp(r * r * cosine)
    p = 1 - math.acos(cosine) / math.pi
    alone = math.exp(-2 * r * r) * (math.exp(r * r * 2 * (1 + cosine)) - 1) ** 2 / 2
    assert found[1].mean() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / draws))
    estimate = np.exp(found[0])
    assert estimate.mean() == pytest.approx(truth, abs=5 * math.sqrt((1 - p) * alone / draws))
    assert estimate.var() == pytest.approx((1 - p) * alone, rel=0.25)
    assert np.abs(estimate[found[1] == 1] - truth).max() < 1e-12


def test_a_window_of_everything_and_hashes_enough_is_exact():
    Q, K, V = stream(64)
    for rounds, good in ((60, True), (1, False)):
        one = Scatterbrain(SHAPE, window=64, rounds=rounds, buckets=2)
        one.extend(Q, K, V)
        exact = np.array([attention(q, *one._held()) for q in Q])
        error = np.abs([one.attend(q) for q in Q] - exact).max()
        assert (error < 1e-5) == good
        assert (error > 0.1) != good


def test_it_does_well_where_few_scores_are_large_and_the_rest_is_flat():
    # 48 short keys have half of the weight together, the 16 newest are long and each the target
    # of a query with a large score: features alone miss those, a window alone misses the others.
    rng = np.random.default_rng(5)
    K = 0.1 * rng.standard_normal((64, 16)).astype(np.float32)
    V = np.ones((64, 16), np.float32)
    K[48:] = 3.0 * np.eye(16)
    Q = 1.3 * np.eye(16, dtype=np.float32)
    V[48:] = rng.choice([-1.0, 1.0], (16, 16))
    exact = np.array([attention(q, K, V) for q in Q])
    budget = SHAPE.cache_bits_16
    one = Scatterbrain(SHAPE, budget, window=16)

    def error(one):
        one.extend(K, K, V)
        return np.abs([one.attend(q) for q in Q] - exact).mean()

    assert error(one) < 0.1
    assert error(Performer(SHAPE, budget)) > 0.2
    assert error(SlidingWindow(SHAPE, 16 * 32 * 16)) > 0.3


def test_bad_input_is_refused():
    Q, K, V = stream(2)
    K[1, 0] = np.nan
    one = Scatterbrain(SHAPE)
    for door in (one.extend, one.next_outputs):
        with pytest.raises(BadInput):
            door(Q, K, V)
    assert one.save() == one.fresh().save()
    for params in ({"m": 0}, {"m": 3}, {"window": 0}, {"rounds": 0}, {"buckets": 7}):
        with pytest.raises(BadInput):
            Scatterbrain(SHAPE, **params)
    with pytest.raises(BadInput):
        one.attend(Q[0])
