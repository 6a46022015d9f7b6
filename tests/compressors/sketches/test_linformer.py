from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.sketch.linformer import Linformer
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=64, d_k=16, d_v=16, extra=0)
KINDS = [{}, {"shared": True}, {"projection": "pool"}]


def stream(n, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, 16)).astype(np.float32) for _ in range(3)]


@pytest.mark.parametrize("kind", KINDS)
def test_cut_anywhere_gives_the_same_message(kind):
    Q, K, V = stream(64)
    whole, loop, cut = (Linformer(SHAPE, seed=3, k=10, **kind) for _ in range(3))
    whole.extend(Q, K, V)
    for row in zip(Q, K, V, strict=True):
        loop.append(*row)
    cut.extend(Q[:23], K[:23], V[:23])
    other = cut.fresh()
    other.restore(cut.save())
    other.extend(Q[23:], K[23:], V[23:])
    assert whole.save() == loop.save() == other.save()
    assert len(whole.save()) == whole.message_bytes


@pytest.mark.parametrize("kind", KINDS)
def test_batched_doors_answer_as_the_loop(kind):
    Q, K, V = stream(64)
    one = Linformer(SHAPE, k=10, **kind)
    one.extend(Q[:40], K[:40], V[:40])
    before = one.save()
    for door in ("next_outputs", "block_outputs"):
        loop = getattr(Compressor, door)(one, Q, K, V)
        assert getattr(one, door)(Q, K, V) == pytest.approx(loop, abs=2e-4)
    assert one.save() == before


@pytest.mark.parametrize("share", [64, 16, 8, 2, 1])
def test_the_budget_is_kept_and_used(share):
    budget, least = SHAPE.cache_bits_16 // share, 64 + 32 * 32
    if budget < least:
        with pytest.raises(BudgetTooSmall) as caught:
            Linformer(SHAPE, budget)
        assert caught.value.minimum_bits == least
        budget = least
    assert budget - 32 * 32 < 8 * Linformer(SHAPE, budget).message_bytes <= budget


def test_bad_input_is_refused():
    Q, K, V = stream(2)
    K[1, 0] = np.nan
    for call in (
        lambda: Linformer(SHAPE).extend(Q, K, V),
        lambda: Linformer(SHAPE, k=0),
        lambda: Linformer(SHAPE, projection="max"),
        lambda: Linformer(SHAPE).attend(Q[0]),
    ):
        with pytest.raises(BadInput):
            call()


def test_a_shared_projection_is_unbiased_for_inner_products():
    # R of entries N(0, 1/k) has E R^T R = I (Theorem 1's proof), so E K'^T V' = K^T V.
    _, K, V = stream(8)
    draws = []
    for seed in range(400):
        one = Linformer(SHAPE, seed=seed, k=16, shared=True)
        one.extend(K, K, V)
        draws.append(one.state["k"].T @ one.state["v"])
    slip = np.std(draws, axis=0) / np.sqrt(len(draws))
    assert (np.abs(np.mean(draws, axis=0) - K.T @ V) < 5 * slip).all()


def test_pooling_is_exact_on_runs_of_equal_tokens_and_not_when_they_are_mixed():
    Q, K, V = stream(16)
    order = np.repeat(np.arange(16), 4)

    def error(order):
        one = Linformer(SHAPE, k=16, projection="pool")
        one.extend(K[order], K[order], V[order])
        exact = [attention(q, K[order], V[order]) for q in Q]
        return np.abs(np.subtract([one.attend(q) for q in Q], exact)).mean()

    assert error(order) < 1e-5
    assert error(np.random.default_rng(0).permutation(order)) > 0.1
