"""Numba kernels that pack numbers into a few bits each and back. Strict float32: no fastmath."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_HALF = np.float32(0.5)
_NONE = np.float32(0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def pack_rows(X: Any, scale: Any, zero: Any, bits: Any, codes: Any) -> None:
    """codes[r] = the levels floor((X[r] - zero[r]) / scale[r] + 1/2) in ``bits`` bits each.

    Levels outside 0 .. 2^bits - 1 go to the nearer end; scale 0 gives level 0. Level j lies in byte
    j // (8 / bits), from bit bits * (j mod (8 / bits)) on; unused bits are 0.

    Args:
        X: float32[rows, L].
        scale, zero: float32[rows].
        bits: 1, 2, 4 or 8.
        codes: uint8[rows, ceil(L bits / 8)], written.
    """
    per = 8 // bits
    most = np.float32((1 << bits) - 1)
    levels = np.zeros(codes.shape[1] * per, np.uint8)
    for r in range(X.shape[0]):
        unit = scale[r]
        for j in range(X.shape[1]):
            level = np.floor((X[r, j] - zero[r]) / unit + _HALF)
            level = level if level > _NONE else _NONE  # also where 0 / 0 is not a number
            level = level if level < most else most
            levels[j] = np.uint8(level if unit > _NONE else _NONE)
        for b in range(codes.shape[1]):
            byte = 0
            for i in range(per):
                byte |= int(levels[b * per + i]) << (bits * i)
            codes[r, b] = byte


@njit(cache=True, nogil=True, error_model="numpy")
def unpack_rows(codes: Any, scale: Any, zero: Any, bits: Any, X: Any) -> None:
    """X[r, j] = zero[r] + scale[r] * level, in float32; arguments as in :func:`pack_rows`."""
    per = 8 // bits
    mask = (1 << bits) - 1
    levels = np.zeros(codes.shape[1] * per, np.float32)
    for r in range(X.shape[0]):
        for b in range(codes.shape[1]):
            byte = int(codes[r, b])
            for i in range(per):
                levels[b * per + i] = np.float32((byte >> (bits * i)) & mask)
        for j in range(X.shape[1]):
            X[r, j] = zero[r] + scale[r] * levels[j]
