"""Min-max quantisation of rows of numbers to 1, 2, 4 or 8 bits each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .state import to_storage

Float32 = NDArray[np.float32]


def quantise(rows: Float32, bits: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8]]:
    """Min-max quantisation: scale = (max - min) / (2^bits - 1) and zero = min, rounded to fp16.

    Args:
        rows: float32[N, R, L]; the L numbers of a row share scale and zero.
        bits: 1, 2, 4 or 8.

    Returns float16[N, R] scales, float16[N, R] zeros, uint8[N, R, ceil(L bits / 8)] codes.

    Raises:
        BadInput: a scale or zero is not finite in fp16.
    """
    from .ingest_kernels import pack_rows

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
    from .ingest_kernels import unpack_rows

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
