from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape, charged_bits
from kvbarrier.compressors.zoo.sketch.balance_kv import BalanceKV, balancing_walk, kernel, occupancy
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention

from tests.naive import balance_kv as naive


def stream(n, d_k=16, d_v=16, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, d)).astype(np.float32) for d in (d_k, d_k, d_v)]


@pytest.mark.parametrize("walk", [balancing_walk, balancing_walk.py_func])
def test_the_walk_and_its_twin(walk):
    rng = np.random.default_rng(0)
    for c in (0.3, 1.0, 20.0):
        gram = kernel(rng.standard_normal((40, 3)), rng.standard_normal((40, 2)), 1.0)
        coins, signs = rng.random(40), np.empty(40)
        walk(gram, c, coins, signs)
        assert signs.tolist() == naive.walk(gram.tolist(), c, coins.tolist())


def test_equal_tokens_alternate():
    # <w, u> is the sum s of the signs so far, and the next is +1 with probability 1/2 - s/2: a
    # fair coin at s = 0, certainly -1 at s = 1 and +1 at s = -1. So every second sum is 0.
    signs = np.empty(60)
    balancing_walk(np.ones((60, 60)), 1.0, np.random.default_rng(1).random(60), signs)
    assert (np.cumsum(signs)[1::2] == 0).all()
    assert 5 < np.count_nonzero(signs[::2] == 1) < 25  # and the coins are coins


def test_the_walk_stays_short_where_fair_coins_go_astray():
    # |w|^2 of t unit vectors is t on average with fair coins. In few dimensions the walk does not
    # grow with t: |w| of the order of c sqrt(d).
    rng = np.random.default_rng(2)
    X = rng.standard_normal((800, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    signs = np.empty(800)
    balancing_walk(X @ X.T, 1.0, rng.random(800), signs)
    assert np.square(signs @ X).sum() < 30
    fair = [np.square(rng.choice([-1.0, 1.0], 800) @ X).sum() for _ in range(50)]
    assert 500 < np.mean(fair) < 1100


def test_the_kernel_is_that_of_keys_and_values():
    rng = np.random.default_rng(3)
    K, V = rng.standard_normal((6, 4)), rng.standard_normal((6, 2))
    gram = kernel(K, V, 0.5)
    centred = K - K.mean(axis=0)
    wanted = np.array(
        [[np.exp(0.5 * a @ b) * (1 + v @ w) for b, w in zip(centred, V, strict=True)]
         for a, v in zip(centred, V, strict=True)]
    )  # fmt: skip
    assert gram == pytest.approx(wanted / np.diagonal(wanted).max())
    assert np.isfinite(kernel(1e3 * K, V, 1.0)).all()


def test_each_token_stays_with_probability_one_half():
    rows = np.concatenate(stream(8, 4, 3)[1:], axis=1).astype(np.float16)
    one = [BalanceKV(Shape(8, 4, 3), seed=seed, batch=8, levels=1) for seed in range(2000)]
    stays = np.zeros(8)
    for cache in one:
        half = cache._half(rows, 8, 0)
        assert len(half) == 4
        assert (np.diff(half) > 0).all()
        stays[half] += 1
    assert stays / 2000 == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(2000))


@pytest.mark.parametrize(("batch", "levels"), [(2, 3), (4, 1), (8, 2), (12, 4), (6, 0)])
def test_levels_hold_what_the_number_of_tokens_says(batch, levels):
    one = BalanceKV(Shape(60, 2, 1), batch=batch, levels=levels)
    Q, K, V = stream(60, 2, 1)
    most = 0
    for n in range(61):
        wanted = naive.occupancy(n, batch, levels)
        assert occupancy(np.array([n]), batch, levels)[:, 0].tolist() == wanted
        keys, values = one.kept() if n else (np.empty((0, 3)), ())
        assert len(values) == sum(wanted)
        # The last coordinate says the level: weights that stand for all n tokens.
        assert np.exp(keys[:, 2].astype(np.float64)).sum() == pytest.approx(n)
        most = max(most, sum(naive.occupancy(n + 1, batch, levels)), sum(wanted))
        if n < 60:
            one.append(Q[n], K[n], V[n])
    assert one.slots == most


def test_kept_tokens_are_tokens_and_count_twice_a_level():
    # Ten tokens in batches of 4: 8 and 9 at level 0, two at level 1 of which none, and one batch
    # of 2 + 2 there went to level 2.
    one = BalanceKV(Shape(10, 1, 1), batch=4, levels=2)
    V = np.arange(10, dtype=np.float32)[:, None]
    one.extend(0 * V, 0 * V, V)
    keys, values = one.kept()
    assert np.exp(keys[:, 1]) == pytest.approx([4, 4, 1, 1])
    kept = values.ravel()
    assert kept[2:].tolist() == [8, 9]
    assert kept[0] < 4 <= 7 + 1 > kept[1]
    # Scores are 0, so an answer is the weighted mean.
    assert one.attend(np.zeros(1)) == pytest.approx([(4 * kept[:2].sum() + 17) / 10])


@pytest.mark.parametrize("params", [{"batch": 8, "levels": 2}, {"batch": 2}, {"levels": 0}])
def test_a_stream_cut_saved_and_restored_is_the_stream(params):
    one = BalanceKV(Shape(64, 16, 16), seed=5, **params)
    Q, K, V = stream(64)
    one.extend(Q, K, V)
    other = one.fresh()
    for t in range(37):
        other.append(Q[t], K[t], V[t])
    third = one.fresh()
    third.restore(other.save())
    third.extend(Q[37:], K[37:], V[37:])
    assert third.save() == one.save()
    assert len(one.save()) == one.message_bytes
    assert (third.next_outputs(Q, K, V) == one.next_outputs(Q, K, V)).all()


def test_bobs_batch_is_bobs_loop_also_where_his_token_completes_a_batch():
    one = BalanceKV(Shape(64, 16, 5, extra=3), seed=5, batch=8, levels=2)
    Q, K, V = stream(67, d_v=5)
    for n in (0, 1, 7, 15, 62, 64):
        cache = one.fresh()
        cache.extend(Q[:n], K[:n], V[:n])
        before = cache.save()
        batch = cache.next_outputs(Q[:9], K[:9], V[:9])
        loop = Compressor.next_outputs(cache, Q[:9], K[:9], V[:9])
        assert batch == pytest.approx(loop, abs=2e-6)
        middle = batch[:, 0] + np.float32(0.01)
        assert (cache.next_bits(Q[:9], K[:9], V[:9], middle) == (batch > middle[:, None])).all()
        loop = Compressor.block_outputs(cache, Q[:3], K[:3], V[:3])
        assert cache.block_outputs(Q[:3], K[:3], V[:3]) == pytest.approx(loop, abs=2e-6)
        assert cache.save() == before


def test_budgets_are_kept_and_used():
    shape = Shape(64, 16, 16)
    held = []
    for part in (8, 4, 2, 1):
        budget = shape.cache_bits_16 // part
        one = BalanceKV(shape, budget)
        one.extend(*stream(64))
        assert 8 * len(one.save()) == 8 * one.message_bytes <= budget
        assert one.slots * 512 + 64 > budget // 2
        held.append(len(one.kept()[0]))
    assert held == sorted(held)
    assert held[0] >= 4
    assert held[-1] >= 40
    assert BalanceKV(shape, 2 * shape.cache_bits_16).levels == 0
    for params in ({}, {"batch": 8}, {"levels": 2}, {"batch": 16, "levels": 1}):
        with pytest.raises(BudgetTooSmall, match="balance-kv") as caught:
            BalanceKV(shape, 600, **params)
        least = caught.value.minimum_bits
        one = BalanceKV(shape, least, **params)
        one.extend(*stream(64))
        assert 8 * len(one.save()) <= least
        with pytest.raises(BudgetTooSmall):
            BalanceKV(shape, least - 1, **params)
    assert charged_bits(one.message_bytes) > least  # so a length that varied would not fit


def test_parameters_and_numbers_are_checked():
    for params, word in (
        ({"batch": 3}, "even"),
        ({"batch": 0}, "batch"),
        ({"levels": -1}, "levels"),
        ({"c": 0.0}, "c > 0"),
        ({"temperature": -1.0}, "temperature"),
    ):
        with pytest.raises(BadInput, match=word):
            BalanceKV(Shape(8, 4, 4), **params)
    one = BalanceKV(Shape(4, 16, 16))
    Q, K, V = stream(6)
    with pytest.raises(BadInput, match="append a token"):
        one.attend(Q[0])
    with pytest.raises(BadInput, match="has room for 4"):
        one.extend(Q, K, V)
    one.extend(Q[:5], K[:5], V[:5])
    with pytest.raises(BadInput, match="has room for 4"):
        one.next_outputs(Q[5:], K[5:], V[5:])
    before = one.fresh()
    K[0, 0] = 1e6
    with pytest.raises(BadInput, match="finite"):
        before.extend(Q[:1], K[:1], V[:1])
    assert before.save() == one.fresh().save()


def test_tokens_that_resemble_one_another_are_halved_well():
    # Eight kinds of tokens, in random order: a half that has the same share of each kind answers
    # as the whole does, and fair coins (a huge c) miss the shares. Keys that are far apart have
    # e^{<k, k'>} near 0 beside e^{|k|^2}: the walk is fair coins, as it has nothing to go by.
    rng = np.random.default_rng(4)
    kinds = rng.integers(0, 8, 512)
    alike = np.eye(8)[kinds] + 0.02 * rng.standard_normal((512, 8))
    apart = rng.standard_normal((512, 64))
    apart *= 4 / np.linalg.norm(apart, axis=1, keepdims=True)
    means, values = rng.choice([0.0, 1.0], (8, 8)), rng.choice([0.0, 1.0], (512, 8))
    errors = {}
    for name, keys, V in (("alike", alike, means[kinds]), ("apart", apart, values)):
        K, V = keys.astype(np.float32), V.astype(np.float32)
        Q = K[:40] / np.linalg.norm(K[0])
        exact = np.array([attention(q, K, V) for q in Q])
        for c in (1.0, 1e9):
            found = []
            for seed in range(8):
                one = BalanceKV(Shape(512, K.shape[1], 8), seed=seed, batch=128, levels=3, c=c)
                one.extend(K, K, V)
                found.append(np.abs(one.block_outputs(Q, K[:0], V[:0]) - exact).mean())
            errors[name, c] = np.mean(found)
    assert errors["alike", 1.0] < 0.4 * errors["alike", 1e9]
    assert errors["apart", 1.0] == pytest.approx(errors["apart", 1e9], rel=0.05)
    assert errors["apart", 1.0] > 3 * errors["alike", 1.0]
