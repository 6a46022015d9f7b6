"""Plain Python twins of what the compressors do with a stream, token by token."""

from __future__ import annotations

import numpy as np

MASK = (1 << 64) - 1


def splitmix_finish(z):
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014), on Python integers."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def draw(seed, t):
    """A number in 0..t: the reservoir's coin of step t."""
    state = (splitmix_finish(seed & MASK) + (t + 1) * 0x9E3779B97F4A7C15) & MASK
    return (splitmix_finish(state) >> 32) * (t + 1) >> 32


def sliding_window(n, W):
    """Tokens kept after n, oldest first."""
    kept = []
    for t in range(n):
        kept.append(t)
        if len(kept) > W:
            kept.pop(0)
    return kept


def streaming(n, sinks, W):
    """Tokens kept after n: the sinks, then the window, oldest first."""
    first, window = [], []
    for t in range(n):
        if t < sinks:
            first.append(t)
            continue
        window.append(t)
        if len(window) > W:
            window.pop(0)
    return first + window


def reservoir(n, m, seed):
    """Algorithm R (Vitter 1985): the token in each slot after n."""
    slots = []
    for t in range(n):
        if t < m:
            slots.append(t)
        else:
            j = draw(seed, t)
            if j < m:
                slots[j] = t
    return slots


def pack_rows(X, scale, zero, bits, codes):
    """Twin of the kernel: the levels of a row are the digits of one number in base 2^bits."""
    for r in range(len(X)):
        number = 0
        for j in range(X.shape[1]):
            level = np.float32(0)
            if scale[r] > 0:
                level = np.floor((X[r, j] - zero[r]) / scale[r] + np.float32(0.5))
            number += int(min(max(level, 0), 2**bits - 1)) * 2 ** (bits * j)
        codes[r] = list(number.to_bytes(codes.shape[1], "little"))


def unpack_rows(codes, scale, zero, bits, X):
    """Twin of the kernel."""
    for r in range(len(X)):
        number = int.from_bytes(codes[r].tobytes(), "little")
        for j in range(X.shape[1]):
            level = number // 2 ** (bits * j) % 2**bits
            X[r, j] = zero[r] + scale[r] * np.float32(level)
