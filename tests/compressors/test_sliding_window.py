from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import sliding_window_attention

naive = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "naive" / "ingest.py")))
SHAPE = Shape(tokens=40, d_k=6, d_v=5)


def stream(n, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, d)).astype(np.float32) for d in (6, 6, 5)]


def test_the_window_is_the_budget_in_whole_tokens():
    token = 16 * 11
    assert SlidingWindow(SHAPE, token).slots == 1
    assert SlidingWindow(SHAPE, 10 * token - 1).slots == 9
    assert SlidingWindow(SHAPE, SHAPE.cache_bits_16).slots == 40
    assert SlidingWindow(SHAPE, 10 * token, dtype="fp8").slots == 20
    assert SlidingWindow(SHAPE, 100 * token).slots == 41  # all tokens and Bob's
    assert SlidingWindow(SHAPE).slots == 41
    assert SlidingWindow(SHAPE, 10 * token, window=4).slots == 4
    for budget in (token, 7 * token, 7 * token + 100):
        assert 8 * SlidingWindow(SHAPE, budget).message_bytes <= budget


def test_a_window_that_does_not_fit_is_refused():
    with pytest.raises(BudgetTooSmall) as caught:
        SlidingWindow(SHAPE, 16 * 11 - 1)
    assert caught.value.minimum_bits == 16 * 11
    with pytest.raises(BudgetTooSmall) as caught:
        SlidingWindow(SHAPE, 5 * 16 * 11, window=6)
    assert caught.value.minimum_bits == 6 * 16 * 11
    for window in (0, -3, 2.5, "4"):
        with pytest.raises(BadInput, match="whole number from 1"):
            SlidingWindow(SHAPE, window=window)


@pytest.mark.parametrize("W", [1, 4, 17, 40, 41])
def test_it_is_the_masked_window_with_bobs_token_in_it(W):
    Q, K, V = stream(41)
    one = SlidingWindow(SHAPE, window=W, dtype="fp32")
    for t in range(40):
        one.append(Q[t], K[t], V[t])
        if t % 9 == 0:
            want = sliding_window_attention(Q[t], K[: t + 1], V[: t + 1], W)
            assert one.attend(Q[t]) == pytest.approx(want, abs=2e-6)
    got = one.next_outputs(Q[40:], K[40:], V[40:])[0]
    assert got == pytest.approx(sliding_window_attention(Q[40], K, V, W), abs=2e-6)


@pytest.mark.parametrize("W", [1, 3, 10, 12])
def test_a_message_is_the_window_oldest_first(W):
    Q, K, V = stream(40)
    for n in (0, 1, 9, 10, 11, 23, 40):
        one = SlidingWindow(SHAPE, window=W, dtype="fp32")
        one.extend(Q[:n], K[:n], V[:n])
        kept = naive.sliding_window(n, W)
        want = np.full((W, 6), np.nan, np.float32)
        want[: len(kept)] = K[kept]
        assert np.frombuffer(one.save(), np.float32)[: W * 6].tobytes() == want.tobytes()
