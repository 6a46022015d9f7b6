"""Top-k attention: the kernel against its plain twin, the policy against the window's."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow
from kvbarrier.compressors.zoo.baseline.top_k import TopKAttention, attend_to_highest
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import sliding_window_attention

SHAPE = Shape(tokens=40, d_k=6, d_v=5)
PLAIN = getattr(attend_to_highest, "py_func", attend_to_highest)  # with the JIT off they are one


def stream(n, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, d)).astype(np.float32) for d in (6, 6, 5)]


def naive(scores, V, k):
    """Softmax over the scores not below the k-th highest: float64[d_v]."""
    scores = np.asarray(scores, dtype=np.float64)
    counts = scores >= np.sort(scores)[-min(k, len(scores))]
    weights = np.where(counts, np.exp(scores - scores.max()), 0.0)
    return weights @ np.asarray(V, dtype=np.float64) / weights.sum()


@pytest.mark.parametrize("kernel", [attend_to_highest, PLAIN])
@pytest.mark.parametrize("k", [1, 2, 5, 30])
@pytest.mark.parametrize("with_own", [True, False])
def test_the_kernel_is_its_twin(kernel, k, with_own):
    rng = np.random.default_rng(k)
    S = rng.integers(-4, 4, (7, 12)).astype(np.float32)  # ties in every row
    S[0] = np.arange(12)  # ascending and descending: every score enters, or only the first do
    S[1] = -np.arange(12)
    V = rng.standard_normal((12, 3)).astype(np.float32)
    own = rng.integers(-4, 4, 7 if with_own else 0).astype(np.float32)
    own_V = rng.standard_normal((len(own), 3)).astype(np.float32)
    out = np.full((7, 3), np.nan, dtype=np.float32)
    kernel(S, own, own_V, V, k, out)
    for r in range(7):
        scores, values = S[r], V
        if with_own:
            scores, values = np.append(scores, own[r]), np.vstack([V, own_V[r]])
        assert out[r] == pytest.approx(naive(scores, values, k), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize("W", [1, 10, 41])
def test_it_attends_to_the_highest_of_the_window(k, W):
    Q, K, V = stream(41)
    one = TopKAttention(SHAPE, k=k, window=W, dtype="fp32")
    one.extend(Q[:40], K[:40], V[:40])
    held = slice(max(0, 40 - W), 40)
    assert one.attend(Q[5]) == pytest.approx(naive(K[held] @ Q[5], V[held], k), abs=2e-6)
    held = slice(max(0, 41 - W), 41)
    want = naive(K[held] @ Q[40], V[held], k)
    assert one.next_outputs(Q[40:], K[40:], V[40:])[0] == pytest.approx(want, abs=2e-6)
    assert one.block_outputs(Q[40:], K[40:], V[40:])[0] == pytest.approx(want, abs=2e-6)
    cut = np.array([want[0] - 1e-3], dtype=np.float32)
    bits = one.next_bits(Q[40:], K[40:], V[40:], cut)
    assert bits.tolist() == [(one.next_outputs(Q[40:], K[40:], V[40:])[0] > cut[0]).tolist()]


def test_with_k_as_large_as_the_window_it_is_the_window():
    Q, K, V = stream(41)
    one = TopKAttention(SHAPE, k=10, window=10, dtype="fp32")
    one.extend(Q[:40], K[:40], V[:40])
    got = one.next_outputs(Q[40:], K[40:], V[40:])[0]
    assert got == pytest.approx(sliding_window_attention(Q[40], K, V, 10), abs=2e-6)
    assert one.attend(Q[0]) == pytest.approx(
        sliding_window_attention(Q[0], K[:40], V[:40], 10), abs=2e-6
    )


def test_ties_at_the_kth_score_all_count_in_any_order_of_slots():
    K = np.zeros((4, 6), dtype=np.float32)
    V = np.arange(20, dtype=np.float32).reshape(4, 5)
    one = TopKAttention(Shape(4, 6, 5), k=1, window=3, dtype="fp32")
    one.extend(K, K, V)
    bob = one.fresh()
    bob.restore(one.save())
    for who in (one, bob):
        assert who.attend(np.ones(6, np.float32)).tolist() == V[1:].mean(axis=0).tolist()


def test_its_message_is_the_windows():
    Q, K, V = stream(40)
    budget = 12 * 16 * 11
    ours, window = TopKAttention(SHAPE, budget, k=3), SlidingWindow(SHAPE, budget)
    for one in (ours, window):
        one.extend(Q, K, V)
    assert ours.save() == window.save()
    assert ours.message_bytes == window.message_bytes == budget // 8
    loop = ours.fresh()
    for t in range(40):
        loop.append(Q[t], K[t], V[t])
    assert loop.save() == ours.save()


def test_what_is_refused():
    for k in (0, 1.5, "4"):
        with pytest.raises(BadInput, match="k must be a whole number from 1 on"):
            TopKAttention(SHAPE, k=k)
    with pytest.raises(BudgetTooSmall):
        TopKAttention(SHAPE, 16 * 11 - 1)
    with pytest.raises(BadInput, match="append a token first"):
        TopKAttention(SHAPE).attend(np.zeros(6, np.float32))
    Q, K, V = stream(40)
    one = TopKAttention(SHAPE, k=2, dtype="fp32")
    one.extend(Q, K * np.float32(1e30), V)
    with pytest.raises(BadInput, match="not finite in float32: keep numbers smaller"):
        one.attend(Q[0] * np.float32(1e30))
