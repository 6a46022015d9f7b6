"""KeyDiff, Expected Attention and R-KV: their scores by loops, and who stays."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.eviction.expected_attention import (
    ExpectedAttention,
    expected_weights,
)
from kvbarrier.compressors.zoo.eviction.keydiff import KeyDiff, cosines_to_the_mean
from kvbarrier.compressors.zoo.eviction.r_kv import RKV, redundancy
from kvbarrier.errors import BadInput, BudgetTooSmall

from tests.naive import expected_attention as naive

SHAPE = Shape(tokens=30, d_k=8, d_v=6, layers=2, heads=2, kv_heads=2)
CLASSES = [KeyDiff, ExpectedAttention, RKV]


def stream(n: int = 30, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, 2, 2, d)).astype(np.float32) for d in (8, 8, 6)]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_keydiff_keeps_the_least_like_the_mean() -> None:
    _, K, _ = (part[:, 0, 0] for part in stream())
    units = [k / np.linalg.norm(k) for k in K.astype(np.float64)]
    anchor = sum(units) / len(units)
    wanted = [cosine(k, anchor) for k in K.astype(np.float64)]
    assert cosines_to_the_mean(K) == pytest.approx(wanted, abs=1e-6)
    one = KeyDiff(Shape(30, 8, 6), capacity=7)
    assert one.chosen(K, K, K).tolist() == sorted(np.argsort(wanted)[:7])
    # Twenty copies of a key and one other: the other stays, and the oldest copies.
    K = np.tile(np.float32([3, 1, 0, 0]), (21, 1))
    K[13] = [-1, 2, 0, 0]
    few = KeyDiff(Shape(21, 4, 6), capacity=3)
    assert few.chosen(K, K, K).tolist() == [0, 1, 13]


def test_expected_weights_are_those_of_gaussian_queries() -> None:
    Q, K, _ = (part[:, 1, 0].astype(np.float64) for part in stream(seed=2))
    mean, covariance = Q.mean(axis=0), np.cov(Q.T, bias=True)
    exact = [math.exp(k @ mean + k @ covariance @ k / 2) for k in K]
    assert expected_weights(Q, K) == pytest.approx(np.array(exact) / sum(exact), rel=1e-6)
    # And by drawing: keys a third as long, so that the mean of an exponential settles.
    draws = np.random.default_rng(0).multivariate_normal(mean, covariance, 400_000)
    drawn = np.exp(draws @ K.T / 3).mean(axis=0)
    assert expected_weights(Q, K / 3) == pytest.approx(drawn / drawn.sum(), rel=0.02)


@pytest.mark.parametrize("norm", [0.0, 1.0, 8.0])
def test_the_covariance_says_what_all_scores_say(norm: float) -> None:
    rng = np.random.default_rng(7)
    Q = (norm * rng.standard_normal((500, 16))).astype(np.float32) + np.float32(norm)
    K = rng.standard_normal((500, 16)).astype(np.float32)
    found, wanted = expected_weights(Q, K), naive.expected_weights(Q, K)
    # Exponents of up to about 3,000 at norm 8, each to 2^-52 of itself in both.
    assert found == pytest.approx(wanted, rel=1e-10, abs=1e-300)
    assert np.argsort(-found, kind="stable").tolist() == np.argsort(-wanted, kind="stable").tolist()


def test_expected_weights_take_no_square_of_the_tokens() -> None:
    rng = np.random.default_rng(8)
    Q, K = rng.standard_normal((2, 4096, 16)).astype(np.float32)
    tracemalloc.start()
    expected_weights(Q, K)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Six arrays like K in float64 at most, where all scores are 128 MiB.
    assert peak < 6 * 8 * K.size


def test_expected_attention_weighs_values_and_keeps_sinks() -> None:
    Q, K, V = (part[:, 0, 1] for part in stream(seed=3))
    one = ExpectedAttention(Shape(30, 8, 6), capacity=10)
    worth = expected_weights(Q, K) * np.linalg.norm(V, axis=1)
    rest = 4 + np.argsort(-worth[4:])[:6]
    assert one.chosen(Q, K, V).tolist() == sorted([0, 1, 2, 3, *rest.tolist()])
    V[20] *= 1000
    assert 20 in one.chosen(Q, K, V)
    # With an epsilon that drowns the weights only lengths count.
    long = ExpectedAttention(Shape(30, 8, 6), capacity=10, sinks=0, epsilon=1e9)
    order = np.argsort(-np.linalg.norm(V, axis=1))[:10]
    assert long.chosen(Q, K, V).tolist() == sorted(order.tolist())


def test_redundancy_token_by_token() -> None:
    _, K, _ = (part[:, 0, 0] for part in stream(seed=4))
    K[5], K[9], K[20] = K[2], K[2], K[2]
    means = []
    for i in range(30):
        row = [cosine(K[i], K[j]) if j != i else 0.0 for j in range(30)]
        newest = [j for j in reversed(range(30)) if row[j] > 0.5][:2]
        means.append(sum(0.0 if j in newest else c for j, c in enumerate(row)) / 30)
    wanted = np.exp(means) / np.exp(means).sum()
    assert redundancy(K, 0.5, 2) == pytest.approx(wanted, rel=1e-4)


def test_r_kv_mixes_attention_with_what_is_repeated() -> None:
    Q, K, V = (part[:, 0, 0] for part in stream(seed=5))
    one = RKV(Shape(30, 8, 6), capacity=12, window=4, kernel=3, spared=0.1)
    weights = np.zeros(30)
    for t in range(26, 30):
        scores = np.exp(K[: t + 1].astype(np.float64) @ Q[t])
        weights[: t + 1] += scores / scores.sum() / 4
    pooled = [max(weights[max(0, i - 1) : i + 2]) for i in range(30)]
    worth = 0.1 * np.array(pooled) - 0.9 * redundancy(K, 0.5, 3)
    wanted = np.argsort(-worth[:26], kind="stable")[:8]
    assert one.chosen(Q, K, V).tolist() == sorted([*wanted.tolist(), 26, 27, 28, 29])
    # Attention alone, or repetition alone.
    for mix, best in ((1.0, np.array(pooled)), (0.0, -redundancy(K, 0.5, 3))):
        alone = RKV(Shape(30, 8, 6), capacity=12, window=4, kernel=3, mix=mix)
        wanted = np.argsort(-best[:26], kind="stable")[:8]
        assert alone.chosen(Q, K, V).tolist() == sorted([*wanted.tolist(), 26, 27, 28, 29])


@pytest.mark.parametrize("cls", CLASSES)
def test_the_contract(cls) -> None:
    Q, K, V = stream()
    budget = SHAPE.cache_bits_16 // 3
    whole, loop = (cls(SHAPE, budget) for _ in range(2))
    whole.extend(Q, K, V)
    for triple in zip(Q, K, V, strict=True):
        loop.append(*triple)
    message = whole.save()
    # Ten of thirty tokens of 14 fp16 numbers in four heads.
    assert message == loop.save()
    assert len(message) == whole.message_bytes == 4 * 10 * 28
    twin = whole.fresh()
    twin.restore(message)
    asked = stream(3, 9)
    loops = Compressor.next_outputs(twin, *asked)
    assert twin.next_outputs(*asked) == pytest.approx(loops, abs=2e-6)
    # Each head keeps tokens of its own choice.
    kept = [rows.K.tolist() for rows in whole.keep(Q, K, V)]
    for (l, h), rows in zip(whole.heads, kept, strict=True):
        own = K[:, l, h].astype(np.float16).tolist()
        places = [own.index(row) for row in rows]
        assert places == sorted(places)
    short = cls(SHAPE, budget)
    short.extend(Q[:4], K[:4], V[:4])
    assert len(short.save()) == len(message)


@pytest.mark.parametrize("cls", CLASSES)
def test_budgets(cls) -> None:
    with pytest.raises(BudgetTooSmall) as refused:
        cls(SHAPE, 100)
    assert refused.value.minimum_bits == 8 * 4 * 28
    assert cls(SHAPE, capacity=5).declares == {"keeps": f"share:{5 / 30!r}"}
    with pytest.raises(BadInput, match="capacity"):
        cls(SHAPE, capacity=0)


def test_words_of_r_kv() -> None:
    for params, word in (({"mix": 2}, "mix"), ({"spared": -1}, "spared"), ({"kernel": 4}, "odd")):
        with pytest.raises(BadInput, match=word):
            RKV(SHAPE, **params)
