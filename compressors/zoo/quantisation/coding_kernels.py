"""Numba kernels of the token codecs: a product whose rows do not depend on one another, and bits.

A BLAS product may round a row differently when it comes with others, and a number on the border of
two cells would then be coded differently: a stream cut anywhere could not give the same bytes.
Strict float32 here, in one order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....reductions.jit import njit


@njit(cache=True, nogil=True, error_model="numpy")
def product(X: Any, M: Any, out: Any) -> None:
    """out = X M, added up in the order of X's columns: float32[m, d], [d, e], [m, e]."""
    for r in range(X.shape[0]):
        out[r, :] = 0
        for i in range(X.shape[1]):
            x = X[r, i]
            for j in range(M.shape[1]):
                out[r, j] += x * M[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def pack_symbols(symbols: Any, bits: Any, codes: Any) -> None:
    """Symbols below 2^bits one after another, the lowest bit first.

    Args:
        symbols: uint8[m, s].
        bits: 1 to 8.
        codes: uint8[m, ceil(s bits / 8)], written.
    """
    for r in range(symbols.shape[0]):
        word, have, at = 0, 0, 0
        for i in range(symbols.shape[1]):
            word |= int(symbols[r, i]) << have
            have += bits
            while have >= 8:
                codes[r, at] = word & 255
                word >>= 8
                have -= 8
                at += 1
        if have:
            codes[r, at] = word & 255


@njit(cache=True, nogil=True, error_model="numpy")
def unpack_symbols(codes: Any, bits: Any, symbols: Any) -> None:
    """The other way; arguments as in :func:`pack_symbols`, symbols written."""
    mask = (1 << bits) - 1
    for r in range(symbols.shape[0]):
        word, have, at = 0, 0, 0
        for i in range(symbols.shape[1]):
            while have < bits:
                word |= int(codes[r, at]) << have
                have += 8
                at += 1
            symbols[r, i] = np.uint8(word & mask)
            word >>= bits
            have -= bits
