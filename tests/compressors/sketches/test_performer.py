from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.sketch.performer import Performer, orthogonal_gaussians
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=64, d_k=16, d_v=16)


def stream(n, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    return [(size * rng.standard_normal((n, 16))).astype(np.float32) for _ in range(3)]


def test_cut_anywhere_gives_the_same_message():
    Q, K, V = stream(64)
    whole, loop, cut = (Performer(SHAPE, seed=3, m=20) for _ in range(3))
    whole.extend(Q, K, V)
    for row in zip(Q, K, V, strict=True):
        loop.append(*row)
    cut.extend(Q[:23], K[:23], V[:23])
    other = cut.fresh()
    other.restore(cut.save())
    other.extend(Q[23:], K[23:], V[23:])
    assert whole.save() == loop.save() == other.save()
    assert len(whole.save()) == whole.message_bytes


@pytest.mark.parametrize("size", [0.3, 1, 4])
@pytest.mark.parametrize("held", [0, 40])
def test_batched_doors_answer_as_the_loop(size, held):
    Q, K, V = stream(64, size=size)
    one = Performer(SHAPE, m=20)
    one.extend(Q[:held], K[:held], V[:held])
    before = one.save()
    got, loop = one.next_outputs(Q, K, V), Compressor.next_outputs(one, Q, K, V)
    assert got == pytest.approx(loop, abs=2e-5 * size)
    got, loop = one.block_outputs(Q, K, V), Compressor.block_outputs(one, Q, K, V)
    assert got == pytest.approx(loop, abs=2e-5 * size)
    assert one.save() == before


@pytest.mark.parametrize("share", [64, 16, 8, 2, 1])
def test_the_budget_is_kept_and_used(share):
    budget = SHAPE.cache_bits_16 // share
    least = 32 * (1 + 17)
    if budget < least:
        with pytest.raises(BudgetTooSmall) as caught:
            Performer(SHAPE, budget)
        assert caught.value.minimum_bits == least
        budget = least
    one = Performer(SHAPE, budget)
    assert budget - 32 * 17 < 8 * one.message_bytes <= budget
    with pytest.raises(BudgetTooSmall):
        Performer(SHAPE, budget, m=one.features + 1)


def test_bad_numbers_are_refused():
    Q, K, V = stream(2)
    K[1, 0] = np.nan
    with pytest.raises(BadInput):
        Performer(SHAPE).extend(Q, K, V)
    with pytest.raises(BadInput):
        Performer(SHAPE, m=0)
    with pytest.raises(BadInput):
        Performer(SHAPE).attend(Q[0])


def test_the_features_are_unbiased_for_the_exponential():
    # Lemma 1: E phi(q) phi(k) = e^{<q,k>}; Lemma 2: one feature's variance is
    # e^{|q+k|^2} e^{2<q,k>} - e^{2<q,k>}; orthogonality only lowers it (Theorem 2).
    rng = np.random.default_rng(1)
    q, k = 0.25 * rng.standard_normal((2, 16))
    draws = 1000
    means = []
    for seed in range(draws):
        one = Performer(SHAPE, seed=seed, m=16)
        log = one.log_key(k) + one.log_queries(q[None])[0] - q @ q / 2
        means.append(np.exp(log).mean())
    truth = np.exp(q @ k)
    variance = (np.exp((q + k) @ (q + k)) - 1) * truth**2 / 16
    assert abs(np.mean(means) - truth) < 4 * np.sqrt(variance / draws)
    assert np.var(means) < 1.1 * variance


def test_blocks_are_orthogonal_and_norms_gaussian():
    W = orthogonal_gaussians(200, 16, np.random.default_rng(2))
    gram = W[:16] @ W[:16].T
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-10
    assert (W**2).sum(axis=1).mean() == pytest.approx(16, abs=5 * np.sqrt(32 / 200))


def test_it_does_well_on_small_scores_and_not_on_large_ones():
    def error(size):
        Q, K, V = stream(64, seed=5, size=size)
        V = np.sign(V)
        one = Performer(SHAPE, m=256)
        one.extend(Q, K, V)
        exact = np.array([attention(q, K, V) for q in Q])
        return np.abs([one.attend(q) for q in Q] - exact).mean()

    assert error(0.3) < 0.03
    assert error(1.0) > 0.2
