"""Plain twins of SKVQ: its kernels number by number, and its rounding of one token."""

from __future__ import annotations

import numpy as np


def extremes(X, group, low, high):
    """Twin of the kernel."""
    for t in range(len(X)):
        for g in range(low.shape[1]):
            members = [X[t, j] for j in range(X.shape[1]) if group[j] == g]
            low[t, g] = min(members, default=0)
            high[t, g] = max(members, default=0)


def encode(X, group, scale, zero, levels, digits, codes):
    """Twin of the kernel."""
    codes[...] = 0
    for t in range(len(X)):
        for j in range(X.shape[1]):
            unit, level = scale[t, group[j]], 0
            if unit > 0:
                level = np.floor((X[t, j] - zero[t, group[j]]) / unit + np.float32(0.5))
            level = int(min(max(level, 0), levels - 1))
            codes[t, j // digits] += level * levels ** (j % digits)


def decode(codes, group, scale, zero, levels, digits, X):
    """Twin of the kernel."""
    for t in range(len(X)):
        for j in range(X.shape[1]):
            level = int(codes[t, j // digits]) // levels ** (j % digits) % levels
            X[t, j] = zero[t, group[j]] + scale[t, group[j]] * np.float32(level)


def rounded(row, group, clip, levels, dtype):
    """One token: its groups between alpha min and alpha max, scale and zero in ``dtype``."""
    out = np.empty_like(row)
    for g in range(len(clip)):
        members = np.flatnonzero(group == g)
        if not len(members):
            continue
        low, high = row[members].min(), row[members].max()
        zero = np.float32((clip[g] * low).astype(dtype))
        scale = np.float32((clip[g] * (high - low) / np.float32(levels - 1)).astype(dtype))
        level = np.zeros(len(members), np.float32)
        if scale > 0:
            level = np.floor((row[members] - zero) / scale + np.float32(0.5))
        out[members] = zero + scale * np.clip(level, 0, levels - 1)
    return out


def tokens(X, sinks, window, law, levels, dtype):
    """All tokens as they are held: sinks, rounded ones, window."""
    last = max(sinks, len(X) - window)
    return np.array(
        [rounded(x, *law, levels, dtype) if sinks <= t < last else x for t, x in enumerate(X)]
    )
