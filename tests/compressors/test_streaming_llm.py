from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.streaming_llm import StreamingLLM
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention

naive = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "naive" / "ingest.py")))
SHAPE = Shape(tokens=40, d_k=6, d_v=5)
TOKEN = 16 * 11


def test_the_window_is_what_the_sinks_leave():
    assert StreamingLLM(SHAPE, 5 * TOKEN).slots == 5
    assert StreamingLLM(SHAPE, 12 * TOKEN + 3).slots == 12
    assert StreamingLLM(SHAPE, window=8).slots == 12
    assert StreamingLLM(SHAPE, sinks=0, window=8).slots == 8
    assert StreamingLLM(SHAPE).slots == 41
    with pytest.raises(BudgetTooSmall) as caught:
        StreamingLLM(SHAPE, 5 * TOKEN - 1)
    assert caught.value.minimum_bits == 5 * TOKEN
    with pytest.raises(BudgetTooSmall):
        StreamingLLM(SHAPE, 11 * TOKEN, window=8)
    with pytest.raises(BadInput, match="sinks"):
        StreamingLLM(SHAPE, sinks=-1)
    with pytest.raises(BadInput, match="window"):
        StreamingLLM(SHAPE, window=0)


@pytest.mark.parametrize(("sinks", "W"), [(0, 5), (1, 1), (4, 3), (4, 20), (4, 37), (7, 6)])
def test_it_attends_to_the_sinks_and_the_window(sinks, W):
    rng = np.random.default_rng(0)
    Q, K, V = (rng.standard_normal((41, d)).astype(np.float32) for d in (6, 6, 5))
    one = StreamingLLM(SHAPE, sinks=sinks, window=W, dtype="fp32")
    for t in range(40):
        one.append(Q[t], K[t], V[t])
        if t % 7 == 0:
            kept = naive.streaming(t + 1, sinks, W)
            assert one.attend(Q[t]) == pytest.approx(attention(Q[t], K[kept], V[kept]), abs=2e-6)
    kept = naive.streaming(41, sinks, W)
    got = one.next_outputs(Q[40:], K[40:], V[40:])[0]
    assert got == pytest.approx(attention(Q[40], K[kept], V[kept]), abs=2e-6)


@pytest.mark.parametrize("n", [0, 2, 4, 9, 10, 13, 40])
def test_a_message_is_the_sinks_then_the_window_oldest_first(n):
    K = np.arange(40, dtype=np.float32)[:, None] * np.ones((1, 6), np.float32)
    one = StreamingLLM(SHAPE, window=6, dtype="fp32")
    one.extend(K[:n], K[:n], np.zeros((n, 5), np.float32))
    kept = np.frombuffer(one.save(), np.float32)[: 10 * 6].reshape(10, 6)[:, 0]
    assert kept[~np.isnan(kept)].tolist() == naive.streaming(n, 4, 6)
    assert np.isnan(kept[len(naive.streaming(n, 4, 6)) :]).all()
