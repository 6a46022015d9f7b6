"""Numba kernels of SKVQ: extremes of groups of channels, and levels in base L, 16 bits a word.

Strict float32, no fastmath: a state is the same, bit for bit, with and without the JIT.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....reductions.jit import njit

_HALF = np.float32(0.5)
_NONE = np.float32(0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def extremes(X: Any, group: Any, low: Any, high: Any) -> None:
    """The least and the largest number of each token in each group of channels.

    Args:
        X: float32[m, d].
        group: uint8[d], the group of each channel.
        low, high: float32[m, groups], written; both 0 for a group without channels.
    """
    for t in range(X.shape[0]):
        for g in range(low.shape[1]):
            low[t, g] = np.float32(np.inf)
            high[t, g] = np.float32(-np.inf)
        for j in range(X.shape[1]):
            g = group[j]
            low[t, g] = min(low[t, g], X[t, j])
            high[t, g] = max(high[t, g], X[t, j])
        for g in range(low.shape[1]):
            if low[t, g] > high[t, g]:
                low[t, g] = _NONE
                high[t, g] = _NONE


@njit(cache=True, nogil=True, error_model="numpy")
def encode(X: Any, group: Any, scale: Any, zero: Any, levels: Any, digits: Any, codes: Any) -> None:
    """codes[t] = the levels floor((X[t] - zero) / scale + 1/2), ``digits`` of them a word.

    Levels outside 0 .. levels - 1 go to the nearer end; scale 0 gives level 0. Word w has the
    channels digits * w and on, the first as its lowest digit.

    Args:
        X, group: as in :func:`extremes`.
        scale, zero: float32[m, groups].
        levels: L, with L ** digits at most 2 ** 16.
        codes: uint16[m, ceil(d / digits)], written.
    """
    most = np.float32(levels - 1)
    for t in range(X.shape[0]):
        for w in range(codes.shape[1]):
            word = 0
            base = 1
            for j in range(w * digits, min((w + 1) * digits, X.shape[1])):
                unit = scale[t, group[j]]
                level = np.floor((X[t, j] - zero[t, group[j]]) / unit + _HALF)
                level = level if level > _NONE else _NONE  # also where 0 / 0 is not a number
                level = level if level < most else most
                word += base * int(level if unit > _NONE else _NONE)
                base *= levels
            codes[t, w] = word


@njit(cache=True, nogil=True, error_model="numpy")
def decode(codes: Any, group: Any, scale: Any, zero: Any, levels: Any, digits: Any, X: Any) -> None:
    """X[t, j] = zero + scale * level, in float32; arguments as in :func:`encode`."""
    for t in range(X.shape[0]):
        for w in range(codes.shape[1]):
            word = int(codes[t, w])
            for j in range(w * digits, min((w + 1) * digits, X.shape[1])):
                X[t, j] = zero[t, group[j]] + scale[t, group[j]] * np.float32(word % levels)
                word //= levels
