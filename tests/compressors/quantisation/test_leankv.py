"""LeanKV: significance, grades under thresholds and budgets, and heads that share a memory."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.kit.min_max import quantise, restore
from kvbarrier.compressors.plugin.contract import Compressor, Shape, charged_bits
from kvbarrier.compressors.zoo.quantisation.leankv import LeanKV
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=64, d_k=16, d_v=16)
HEADS = Shape(tokens=90, d_k=16, d_v=8, layers=2, heads=3, kv_heads=3)


def stream(shape, seed=0, n=None):
    rng = np.random.default_rng(seed)
    size = (shape.tokens if n is None else n, shape.layers, shape.kv_heads)
    parts = [rng.standard_normal((*size, d)) for d in (shape.d_k, shape.d_k, shape.d_v)]
    return [part.astype(np.float32) for part in parts]


def grades_of(one, Q, K):
    scores = [one.significance(Q[:, l, h], K[:, l, h]) for l, h in one.heads]
    return one.grades(np.array(scores))


def test_significance_is_the_mean_weight_of_the_last_64_queries():
    Q, K, _ = (part[:, 0, 0] for part in stream(HEADS))
    one = LeanKV(HEADS, window=5)
    sums, asked = np.zeros(90), np.zeros(90)
    for t in range(90 - 64, 90):
        scores = K[: t + 1].astype(np.float64) @ Q[t]
        weights = np.exp(scores - scores.max())
        sums[: t + 1] += weights / weights.sum()
        asked[: t + 1] += 1
    found = one.significance(Q, K)
    assert found[:85] == pytest.approx((sums / asked)[:85], abs=1e-6)
    assert np.isinf(found[85:]).all()
    assert np.isinf(one.significance(Q[:3], K[:3])).all()


def test_three_grades_by_thresholds():
    # n = 8 and thresholds 2/8 and 1/8, which belong to the better grade.
    one = LeanKV(Shape(8, 4, 4), alpha_high=2, alpha_low=1)
    scores = np.float32([[0.26, 0.25, 0.249, 0.125, 0.124, 0, 1, np.inf]])
    assert one.grades(scores).tolist() == [[2, 2, 1, 1, 0, 0, 2, 2]]
    # With queries of zero a token weighs 1/t at step t, from 577 to 640: 1.05 / 640 in the mean.
    long = Shape(tokens=640, d_k=4, d_v=4)
    _, K, _ = stream(long)
    for alpha, grade in ((1.0, 2), (1.1, 1)):
        one = LeanKV(long, alpha_high=alpha, alpha_low=1, window=70)
        assert grades_of(one, np.zeros_like(K), K).tolist() == [[grade] * 570 + [2] * 70]


def test_tokens_come_back_in_their_precision():
    Q, K, V = stream(SHAPE)
    one = LeanKV(SHAPE, high="K8V2", low="K4V1", alpha_high=0.9, alpha_low=0.6, window=4)
    grade = grades_of(one, Q, K)[0]
    counts = [int((grade == g).sum()) for g in (2, 1, 0)]
    assert min(counts) > 5
    one.extend(Q, K, V)
    (rows,) = one._rows(one.save())
    for X, found, bits in ((K, rows.K, (8, 4)), (V, rows.V, (2, 1))):
        wanted = []
        for g, b in zip((2, 1), bits, strict=True):
            part = X[grade == g, 0]
            wanted.append(restore(*quantise(part, b), b, part.shape[2])[:, 0])
        assert (found == np.concatenate(wanted).astype(np.float16)).all()
    # 16 numbers at 8 and 2 bits, or 4 and 1, and two scales and zeros; two counts a head.
    assert len(one.save()) == 8 + counts[0] * (16 + 4 + 8) + counts[1] * (8 + 2 + 8)
    assert [len(kept.K) for kept in one.keep(Q, K, V)] == [counts[0] + counts[1]]


@pytest.mark.parametrize("shape", [SHAPE, HEADS])
@pytest.mark.parametrize("share", [1 / 16, 1 / 8, 1 / 5, 1 / 3, 1])
def test_the_length_is_public_and_within_the_budget(shape, share):
    budget = int(share * shape.cache_bits_16)
    lengths = set()
    for seed in range(3):
        one = LeanKV(shape, budget)
        one.extend(*stream(shape, seed))
        lengths.add(len(one.save()))
        short = LeanKV(shape, budget)
        short.extend(*stream(shape, seed, n=20))
        lengths.add(len(short.save()))
        assert sum(len(rows.K) for rows in short._rows(short.save())) <= 20 * len(short.heads)
    assert lengths == {one.message_bytes}
    assert charged_bits(one.message_bytes, one.message_bytes) <= budget
    # What is left holds no further token, nor a better one.
    spare = budget // 8 - one.message_bytes
    tokens, kept = len(one.heads) * shape.tokens, one.of_high + one.of_low
    assert spare < one.cost[1] or kept == tokens
    assert spare < one.cost[2] - one.cost[1] or one.of_low == 0 or kept < tokens
    if kept < tokens:
        assert one.of_high == len(one.heads) * one.window


def test_a_budget_grades_by_rank():
    Q, K, _ = stream(SHAPE)
    one = LeanKV(SHAPE, SHAPE.cache_bits_16 // 4, window=4)
    scores = one.significance(Q[:, 0, 0], K[:, 0, 0])
    grade = one.grades(scores[None])[0]
    assert (grade == 2).sum() == one.of_high
    assert (grade == 1).sum() == one.of_low
    assert scores[grade == 2].min() >= scores[grade == 1].max(initial=0)
    assert scores[grade > 0].min() >= scores[grade == 0].max(initial=0)
    # Of equals the newer one is kept.
    grade = one.grades(np.zeros((1, 64), np.float32))[0].tolist()
    assert grade == sorted(grade)


def test_too_small_a_budget():
    least = 8 * 6 * (8 + 8 + 2 + 8)  # counts, and K4V2 of 16 and 8 numbers, in each of 6 heads
    one = LeanKV(HEADS, least)
    assert (one.of_high, one.of_low, 8 * one.message_bytes) == (0, 6, least)
    with pytest.raises(BudgetTooSmall) as caught:
        LeanKV(HEADS, least - 1)
    assert caught.value.minimum_bits == least


@pytest.mark.parametrize("params", [{}, {"budget_bits": SHAPE.cache_bits_16 // 6}])
@pytest.mark.parametrize("shape", [SHAPE, HEADS])
def test_the_contract(shape, params):
    Q, K, V = stream(shape)
    whole, looped = (LeanKV(shape, **params) for _ in range(2))
    whole.extend(Q, K, V)
    for triple in zip(Q, K, V, strict=True):
        looped.append(*triple)
    message = whole.save()
    assert message == looped.save() == whole.save()
    twin = whole.fresh()
    twin.restore(message)
    assert twin.save() == message
    assert (twin.attend(Q[0]) == whole.attend(Q[0])).all()
    Q, K, V = stream(shape, seed=1, n=5)
    loop = Compressor.next_outputs(whole, Q, K, V)
    assert whole.next_outputs(Q, K, V) == pytest.approx(loop, abs=2e-6)
    block = Compressor.block_outputs(whole, Q, K, V)
    assert whole.block_outputs(Q, K, V) == pytest.approx(block, abs=2e-6)
    assert whole.save() == message
    whole.append(Q[0], K[0], V[0])
    assert whole.attend(Q[0]) == pytest.approx(loop[0], abs=2e-6)
    with pytest.raises(PluginFailure, match="after the prefill"):
        whole.save()


def test_memory_goes_to_the_heads_that_need_it():
    # The last queries of head 0 look at four tokens, those of head 1 at all: at thresholds of
    # 1/2 and 1/20 of the mean head 0 keeps the four and its window, head 1 everything.
    shape = Shape(tokens=80, d_k=16, d_v=16, heads=2, kv_heads=2)
    Q, K, V = stream(shape)
    K[:, 0, 0] = 0
    K[[3, 9, 27, 60], 0, 0] = 5 * np.eye(16, dtype=np.float32)[:4]
    Q[:, 0, 0] = np.float32([4] * 4 + [0] * 12)
    Q[:, 0, 1] = 0
    one = LeanKV(shape, alpha_high=0.5, alpha_low=0.05, window=8)
    one.extend(Q, K, V)
    assert [len(rows.K) for rows in one._rows(one.save())] == [12, 80]
    # Under a budget, too, one head has more tokens than the other.
    one = LeanKV(shape, shape.cache_bits_16 // 8, window=2)
    grade = grades_of(one, Q, K)
    assert (grade[0, [3, 9, 27, 60]] > 0).all()
    assert (grade > 0).sum(axis=1).tolist() == [6, one.of_high + one.of_low - 6]


def test_it_does_well_where_the_prompt_asks_what_will_be_asked():
    shape = Shape(tokens=128, d_k=32, d_v=16)
    rng = np.random.default_rng(2)
    keys = np.sign(rng.standard_normal((128, 1, 1, 32))).astype(np.float32) / np.float32(32**0.5)
    values = np.sign(rng.standard_normal((128, 1, 1, 16))).astype(np.float32)
    asked = rng.permutation(100)[:10]
    Q = 9 * keys[rng.choice(asked, 128)]
    one = LeanKV(shape, shape.cache_bits_16 // 8, window=8)
    one.extend(Q, keys, values)
    others = np.setdiff1d(np.arange(100), asked)[:40]
    nothing = [np.zeros((40, 1, 1, d), np.float32) for d in (32, 16)]
    errors = {}
    for name, rows in (("asked", np.resize(asked, 40)), ("others", others)):
        wanted = values[rows, 0, 0] > 0
        found = one.next_outputs(9 * keys[rows], *nothing)[:, 0, 0] > 0
        errors[name] = (found != wanted).mean()
    assert errors["asked"] < 0.01
    assert errors["others"] > 0.25
    exact = attention(9 * keys[others[0], 0, 0], keys[:, 0, 0], values[:, 0, 0]) > 0
    assert (exact == (values[others[0], 0, 0] > 0)).all()  # it could have been read


def test_more_bits_for_keys_than_for_values():
    # The paper's first observation: at 6 bits a pair K4V2 errs less than K2V4 where keys are
    # rounded a token at a time.
    shape = Shape(tokens=200, d_k=32, d_v=32)
    Q, K, V = stream(shape)
    exact = np.stack([attention(q, K[:, 0, 0], V[:, 0, 0]) for q in Q[:, 0, 0]])
    gaps = {}
    for name in ("K4V2", "K2V4"):
        one = LeanKV(shape, high=name, low=name, alpha_high=0, window=0)
        one.extend(Q, K, V)
        assert len(one.save()) == 8 + 200 * (32 * 6 // 8 + 8)
        found = one.block_outputs(Q, K[:0], V[:0])[:, 0, 0]
        gaps[name] = np.square(found - exact).mean()
    assert gaps["K4V2"] < 0.5 * gaps["K2V4"]


def test_parameters_are_checked():
    for params, word in (
        ({"high": "K9V4"}, "K8V4"),
        ({"low": "k4v2"}, "low is a precision"),
        ({"high": "K2V2", "low": "K4V2"}, "turn them round"),
        ({"alpha_high": 1, "alpha_low": 2}, "alpha_low <= alpha_high"),
        ({"alpha_low": -1}, "alpha_low <= alpha_high"),
        ({"window": -1}, "window"),
        ({"budget_bits": 10**6, "alpha_high": 1.0}, "budget sets the thresholds"),
    ):
        with pytest.raises(BadInput, match=word):
            LeanKV(SHAPE, **params)
    Q, K, V = stream(SHAPE)
    V[3, 0, 0, 0] = np.inf
    with pytest.raises(BadInput, match="not finite"):
        LeanKV(SHAPE).extend(Q, K, V)


def test_foreign_messages_are_refused():
    one = LeanKV(SHAPE)
    one.extend(*stream(SHAPE))
    message = one.save()
    for wrong in (message[:-1], message + b"\0", b"", b"\xff" * len(message)):
        with pytest.raises(PluginFailure, match="not one of leankv"):
            one.fresh().restore(wrong)
    with pytest.raises(PluginFailure, match="not one of leankv"):
        LeanKV(SHAPE, SHAPE.cache_bits_16 // 4).restore(message)
    empty = LeanKV(SHAPE)
    assert empty.save() == bytes(8)
