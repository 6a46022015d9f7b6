"""Min-max quantisation of rows of numbers, with Numba kernels that pack a few bits each and back.

Strict float32, no fastmath: a state is the same, bit for bit, with and without the JIT.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...reductions.jit import njit
from .state import to_storage

Float32 = NDArray[np.float32]
_HALF = np.float32(0.5)
_NONE = np.float32(0.0)


def quantise(rows: Float32, bits: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8]]:
    """Min-max quantisation: scale = (max - min) / (2^bits - 1) and zero = min, rounded to fp16.

    Args:
        rows: float32[N, R, L]; the L numbers of a row share scale and zero.
        bits: 1 to 8.

    Returns float16[N, R] scales, float16[N, R] zeros, uint8[N, R, ceil(L bits / 8)] codes.

    Raises:
        BadInput: a scale or zero is not finite in fp16.
    """
    N, R, L = rows.shape
    low = rows.min(axis=2)
    fp16 = np.dtype(np.float16)
    scale = to_storage((rows.max(axis=2) - low) / np.float32((1 << bits) - 1), fp16, "Quantized")
    zero = to_storage(low, fp16, "Quantized")
    codes = np.empty((N, R, -(-L * bits // 8)), dtype=np.uint8)
    pack_rows(
        np.ascontiguousarray(rows).reshape(N * R, L),
        scale.astype(np.float32).ravel(),
        zero.astype(np.float32).ravel(),
        bits,
        codes.reshape(N * R, codes.shape[2]),
    )
    return scale, zero, codes


def restore(
    scale: NDArray[Any], zero: NDArray[Any], codes: NDArray[np.uint8], bits: int, length: int
) -> Float32:
    """zero + scale * code: float32[N, R, length] from what :func:`quantise` returns."""
    N, R, size = codes.shape
    rows = np.empty((N * R, length), dtype=np.float32)
    unpack_rows(
        codes.reshape(N * R, size),
        scale.astype(np.float32).ravel(),
        zero.astype(np.float32).ravel(),
        bits,
        rows,
    )
    return rows.reshape(N, R, length)


@njit(cache=True, nogil=True, error_model="numpy")
def pack_rows(X: Any, scale: Any, zero: Any, bits: Any, codes: Any) -> None:
    """codes[r] = the levels floor((X[r] - zero[r]) / scale[r] + 1/2) in ``bits`` bits each.

    Levels outside 0 .. 2^bits - 1 go to the nearer end; scale 0 gives level 0. Level j lies in the
    bits from bits * j on, the lowest of a byte first; unused bits are 0.

    Args:
        X: float32[rows, L].
        scale, zero: float32[rows].
        bits: 1 to 8.
        codes: uint8[rows, ceil(L bits / 8)], written.
    """
    most = np.float32((1 << bits) - 1)
    levels = np.zeros(X.shape[1], np.uint8)
    for r in range(X.shape[0]):
        unit = scale[r]
        for j in range(X.shape[1]):
            level = np.floor((X[r, j] - zero[r]) / unit + _HALF)
            level = level if level > _NONE else _NONE  # also where 0 / 0 is not a number
            level = level if level < most else most
            levels[j] = np.uint8(level if unit > _NONE else _NONE)
        word, have, at = 0, 0, 0
        for j in range(X.shape[1]):
            word |= int(levels[j]) << have
            have += bits
            if have >= 8:
                codes[r, at] = word & 255
                word >>= 8
                have -= 8
                at += 1
        if have:
            codes[r, at] = word & 255


@njit(cache=True, nogil=True, error_model="numpy")
def unpack_rows(codes: Any, scale: Any, zero: Any, bits: Any, X: Any) -> None:
    """X[r, j] = zero[r] + scale[r] * level, in float32; arguments as in :func:`pack_rows`."""
    mask = (1 << bits) - 1
    for r in range(X.shape[0]):
        word, have, at = 0, 0, 0
        for j in range(X.shape[1]):
            if have < bits:
                word |= int(codes[r, at]) << have
                have += 8
                at += 1
            X[r, j] = zero[r] + scale[r] * np.float32(word & mask)
            word >>= bits
            have -= bits
