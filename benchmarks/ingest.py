"""Taking a stream in: ``extend`` against the natural NumPy loop, token by token."""

from __future__ import annotations

import numpy as np
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.quantized import Quantized
from kvbarrier.compressors.zoo.baseline.reservoir import Reservoir
from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow
from paired import middle, ratio, rounds

N, D, KEPT = 4096, 64, 256


def window_loop(K, V):
    k, v = np.empty((KEPT, D), np.float16), np.empty((KEPT, D), np.float16)
    for t in range(len(K)):
        k[t % KEPT] = K[t]
        v[t % KEPT] = V[t]
    return k, v


def reservoir_loop(K, V):
    k, v = np.empty((KEPT, D), np.float16), np.empty((KEPT, D), np.float16)
    rng = np.random.default_rng(0)
    for t in range(len(K)):
        slot = t if t < KEPT else rng.integers(t + 1)
        if slot < KEPT:
            k[slot] = K[t]
            v[slot] = V[t]
    return k, v


def q4_loop(K, V):
    codes = np.empty((2, len(K), D // 2), np.uint8)
    ends = np.empty((2, len(K), 2), np.float16)
    for t in range(len(K)):
        for side, x in enumerate((K[t], V[t])):
            low, high = x.min(), x.max()
            scale = np.float16((high - low) / 15)
            zero = np.float16(low)
            levels = np.clip(np.floor((x - zero) / scale + 0.5), 0, 15).astype(np.uint8)
            codes[side, t] = levels[0::2] | levels[1::2] << 4
            ends[side, t] = scale, zero
    return codes, ends


def measure(count: int) -> list[tuple[str, float, float, float]]:
    """(policy, ns a token in the loop, ns a token in ``extend``, ratio)."""
    rng = np.random.default_rng(0)
    K, V = rng.standard_normal((2, N, D)).astype(np.float32)
    Q = np.zeros_like(K)
    shape = Shape(N, D, D)
    rows = []
    for name, loop, kind, params in (
        ("sliding-window", window_loop, SlidingWindow, {"window": KEPT}),
        ("reservoir", reservoir_loop, Reservoir, {"size": KEPT}),
        ("quantized, 4 bits", q4_loop, Quantized, {"bits": 4}),
    ):
        taken = rounds(
            {
                "loop": lambda loop=loop: loop(K, V),
                "extend": lambda kind=kind, p=params: kind(shape, **p).extend(Q, K, V),
            },
            count,
        )
        per_token = [1e9 * middle(taken[who]) / N for who in ("loop", "extend")]
        rows.append((name, *per_token, ratio(taken, "loop", "extend")))
    return rows
