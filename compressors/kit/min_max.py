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
        bits: 1, 2, 4 or 8.

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
