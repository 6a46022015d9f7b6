"""MiniCache's interpolation, retention and what it costs where layers agree or do not."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.low_rank.minicache import MiniCache, merge
from kvbarrier.errors import BadInput

SHAPE = Shape(tokens=40, d_k=16, d_v=16, layers=4, heads=1, kv_heads=1)


def test_slerp_is_on_the_great_circle_at_its_part() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.standard_normal((2, 30, 2, 8))
    for t in (0.0, 0.25, 0.6, 1.0):
        shared, lengths, apart = merge(low, high, t)
        assert np.allclose(np.linalg.norm(shared, axis=-1), 1, atol=1e-6)
        assert np.allclose(lengths, [np.linalg.norm(X, axis=-1) for X in (low, high)], rtol=1e-6)
        # The angle to the lower direction is the part t of the whole angle.
        cosine = np.einsum("nhd,nhd->nh", shared, low) / lengths[0]
        whole = np.einsum("nhd,nhd->nh", low, high) / lengths[0] / lengths[1]
        assert np.allclose(np.arccos(np.clip(cosine, -1, 1)), t * np.arccos(whole), atol=2e-3)
        assert np.allclose(apart, np.arccos(whole) / np.pi, atol=1e-6)


def test_a_zero_vector_takes_the_others_direction() -> None:
    low = np.zeros((1, 1, 3), np.float32)
    high = np.array([[[0.0, 2.0, 0.0]]], np.float32)
    shared, lengths, _ = merge(low, high, 0.6)
    assert shared.ravel().tolist() == [0, 1, 0]
    assert lengths.ravel().tolist() == [0, 2]


def test_a_length_that_fp16_cannot_hold_is_refused() -> None:
    K = np.zeros((40, 4, 1, 16), np.float32)
    K[3, 2, 0, 5:7] = 60000
    one = MiniCache(SHAPE)
    one.extend(K, K, 0 * K)
    with pytest.raises(BadInput, match="not finite as float16"):
        one.save()


def play(parallel: float, retained: int = 0) -> tuple[MiniCache, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((2, 40, 4, 1, 16))
    # The two layers of the pair (2, 3), more or less parallel.
    X[:, :, 3] = parallel * 1.7 * X[:, :, 2] + (1 - parallel) * X[:, :, 3]
    K, V = X.astype(np.float16).astype(np.float32)
    one = MiniCache(SHAPE, retained=retained)
    one.extend(K, K, V)
    return one, K, V


def test_parallel_layers_cost_nothing_and_independent_ones_do() -> None:
    worst = {}
    for parallel in (1.0, 0.0):
        one, K, _ = play(parallel)
        rows = one._rows(one.save())
        worst[parallel] = max(np.abs(rows[layer].K - K[:, layer, 0]).max() for layer in (2, 3))
        assert np.array_equal(rows[0].K, K[:, 0, 0])  # layers below the middle are kept
    assert worst[1.0] < 0.01
    assert worst[0.0] > 0.5


def test_the_most_distant_tokens_are_retained_exactly() -> None:
    one, K, V = play(0.0, retained=7)
    rows = one._rows(one.save())
    exact = [(K[:, layer, 0] == rows[layer].K).all(axis=1) for layer in (2, 3)]
    assert np.array_equal(*exact)
    assert exact[0].sum() == 7
    angles = sum(
        np.arccos(
            np.einsum("nd,nd->n", X[:, 2, 0], X[:, 3, 0])
            / np.linalg.norm(X[:, 2, 0], axis=1) / np.linalg.norm(X[:, 3, 0], axis=1)
        )
        for X in (K, V)
    )  # fmt: skip
    assert set(np.flatnonzero(exact[0])) == set(np.argsort(-angles)[:7])


def test_the_pairs_begin_at_the_middle() -> None:
    def pairs(layers: int) -> list[tuple[int, int]]:
        return MiniCache(Shape(tokens=40, d_k=4, d_v=4, layers=layers)).pairs

    assert pairs(2) == [(0, 1)]
    assert pairs(8) == [(4, 5), (6, 7)]
    assert pairs(5) == [(2, 3)]


def test_the_message_is_as_long_as_it_says() -> None:
    one, _, _ = play(0.0, retained=3)
    # Two layers whole, one direction and two lengths each for K and V, 3 tokens of two layers.
    expected = 40 * 2 * 64 + 40 * (64 + 8) + 3 * (4 + 2 * 64)
    assert len(one.save()) == one.message_bytes == expected
    assert one.message_bytes * 8 == pytest.approx(0.82 * SHAPE.cache_bits_16, rel=0.02)
