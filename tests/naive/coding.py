"""Plain twins of the token codecs' kernels."""

from __future__ import annotations

import numpy as np


def product(X, M):
    """One float32 operation after another."""
    out = np.zeros((len(X), M.shape[1]), np.float32)
    for r in range(len(X)):
        for i in range(X.shape[1]):
            out[r] = out[r] + X[r, i] * M[i]
    return out


def pack(symbols, bits):
    """A row as one number in base 2^bits, written in bytes."""
    size = -(-symbols.shape[1] * bits // 8)
    rows = []
    for row in symbols.tolist():
        number = sum(s << (bits * i) for i, s in enumerate(row))
        rows.append(list(number.to_bytes(size, "little")))
    return np.array(rows, np.uint8).reshape(len(symbols), size)
