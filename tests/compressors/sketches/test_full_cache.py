"""What the methods over a whole cache have in common."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.sketch import full_cache
from kvbarrier.compressors.zoo.sketch.algorithm_2 import Algorithm2
from kvbarrier.compressors.zoo.sketch.full_cache import highest, softmax_over
from kvbarrier.compressors.zoo.sketch.hyper_attention import HyperAttention
from kvbarrier.compressors.zoo.sketch.knn_attention import KNNAttention
from kvbarrier.compressors.zoo.sketch.reformer import Reformer
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention

SMALL = {
    HyperAttention: {"block": 8, "samples": 8},
    Reformer: {"rounds": 2, "buckets": 6},
    KNNAttention: {"k": 3, "samples": 6},
    Algorithm2: {"draws": 4, "k": 5},
}
ALL = {
    HyperAttention: {"block": 1000},
    Reformer: {"rounds": 200, "buckets": 2},
    KNNAttention: {"k": 1000},
}
every = pytest.mark.parametrize("cls", list(SMALL), ids=lambda cls: cls.name)


def stream(n, d_k=16, d_v=16, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, d)).astype(np.float32) for d in (d_k, d_k, d_v)]


@every
def test_kept_scores_are_those_of_these_keys_and_questions(cls):
    n = 400
    assert full_cache._BLOCK < n * (n + 1) <= full_cache._SMALL  # so that they are kept
    streams = [stream(n, seed=seed) for seed in (0, 1)]
    for held, asked in ((0, 0), (0, 0), (0, 1), (1, 1), (1, 0)):
        one = cls(Shape(n, 16, 16, extra=1), seed=3, dtype="fp32", **SMALL[cls])
        one.extend(*streams[held])
        batch = one.next_outputs(*streams[asked])
        # A hundred questions are one block, and their scores are computed for them alone.
        parts = [
            one.next_outputs(*(part[at : at + 100] for part in streams[asked]))
            for at in range(0, n, 100)
        ]
        assert np.allclose(batch, np.concatenate(parts), atol=1e-5)


@every
def test_bobs_batch_is_bobs_loop_and_asking_changes_nothing(cls):
    one = cls(Shape(64, 16, 5, extra=2), seed=3, **SMALL[cls])
    Q, K, V = stream(67, d_v=5)
    K[:4] = Q[:4] / 8  # equal hashes, and ties
    K[5] = K[4]
    for n in (0, 1, 3, 64, 65):
        fresh = one.fresh()
        fresh.extend(Q[:n], K[:n], V[:n])
        before = fresh.save()
        batch = fresh.next_outputs(Q, K, V)
        assert batch.dtype == np.float32
        assert batch == pytest.approx(Compressor.next_outputs(fresh, Q, K, V), abs=2e-6)
        assert (fresh.next_bits(Q, K, V, batch[:, 0]) == (batch > batch[:, :1])).all()
        assert fresh.save() == before
    block = one.fresh()
    block.extend(Q[:60], K[:60], V[:60])
    rest = slice(60, 65)
    loop = Compressor.block_outputs(block, Q[rest], K[rest], V[rest])
    assert block.block_outputs(Q[rest], K[rest], V[rest]) == pytest.approx(loop, abs=2e-6)


@every
def test_a_stream_cut_saved_and_restored_is_the_stream(cls):
    one = cls(Shape(64, 16, 16), seed=3, **SMALL[cls])
    Q, K, V = stream(64)
    one.extend(Q, K, V)
    other = one.fresh()
    for t in range(40):
        other.append(Q[t], K[t], V[t])
    third = one.fresh()
    third.restore(other.save())
    third.extend(Q[40:], K[40:], V[40:])
    assert third.save() == one.save()
    assert len(one.save()) == one.message_bytes
    assert (third.next_outputs(Q, K, V) == one.next_outputs(Q, K, V)).all()


@every
def test_budgets_are_those_of_a_whole_cache(cls):
    shape = Shape(64, 16, 16)
    full = shape.cache_bits_16
    for budget, dtype in ((full // 2, "fp8"), (full, "fp16"), (3 * full, "fp32"), (None, "fp16")):
        one = cls(shape, budget, **SMALL[cls])
        assert one.dtype == dtype
        assert budget is None or 8 * one.message_bytes <= budget
    with pytest.raises(BudgetTooSmall, match=cls.name) as caught:
        cls(shape, full // 2 - 1)
    assert cls(shape, caught.value.minimum_bits).dtype == "fp8"


@every
def test_too_many_tokens_and_numbers_that_are_none(cls):
    one = cls(Shape(4, 16, 16), **SMALL[cls])
    Q, K, V = stream(6)
    with pytest.raises(BadInput, match="append a token"):
        one.attend(Q[0])
    with pytest.raises(BadInput, match=cls.name + " has room for 4"):
        one.extend(Q, K, V)
    K[0, 0] = np.nan
    with pytest.raises(BadInput, match="not finite"):
        one.extend(Q[:1], K[:1], V[:1])
    one.extend(Q[1:3], K[1:3], V[1:3])
    with pytest.raises(BadInput, match="not finite"):
        one.attend(Q[0] * np.nan)


@every
def test_coins_are_the_seed(cls):
    Q, K, V = stream(64)
    outputs = []
    for seed in (1, 1, 2):
        one = cls(Shape(64, 16, 16), seed=seed, **SMALL[cls])
        one.extend(Q, K, V)
        outputs.append(one.next_outputs(Q, K, V))
    assert (outputs[0] == outputs[1]).all()
    assert (outputs[0] != outputs[2]).any()


@pytest.mark.parametrize("cls", list(ALL), ids=lambda cls: cls.name)
def test_where_every_token_is_read_it_is_exact(cls):
    Q, K, V = stream(64)
    one = cls(Shape(64, 16, 16), dtype="fp32", **ALL[cls])
    one.extend(Q, K, V)
    for q in Q[:5]:
        assert one.attend(q) == pytest.approx(attention(q, K, V), abs=1e-5)


def test_parameters_are_checked():
    for cls, params, word in (
        (HyperAttention, {"block": 0}, "block"),
        (HyperAttention, {"samples": -1}, "samples"),
        (HyperAttention, {"projections": 31}, "projections"),
        (Reformer, {"rounds": 0}, "rounds"),
        (Reformer, {"buckets": 3}, "even"),
        (KNNAttention, {"k": 0}, "k must"),
        (KNNAttention, {"samples": 1.5}, "samples"),
        (Algorithm2, {"draws": 0}, "draws"),
        (Algorithm2, {"dtype": "fp61"}, "fp16"),
    ):
        with pytest.raises(BadInput, match=word):
            cls(Shape(8, 4, 4), **params)


def test_the_highest_scores_ties_to_the_earlier():
    rng = np.random.default_rng(0)
    S = rng.integers(0, 5, (40, 12)).astype(np.float64)
    for k in (1, 3, 11, 12, 20):
        inside = highest(S, k)
        for row, scores in zip(inside, S, strict=True):
            wanted = sorted(range(12), key=lambda t: (-scores[t], t))[:k]
            assert np.flatnonzero(row).tolist() == sorted(wanted)


def test_scores_that_are_not_read_do_not_matter():
    # 800 nats above the ones that are read: e^-800 is 0 in float64.
    S = np.array([[800.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    W = softmax_over(S, np.array([[0, 2, 1], [1, 1, 0]]))
    assert W[0] == pytest.approx([0, 2 / np.e, 1])
    assert W[1].tolist() == [1, 1, 0]
