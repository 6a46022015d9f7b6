"""Arithmetic in GF(2^m), on NumPy arrays of bit patterns: what the trace codes are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

#: primitive polynomials over GF(2), by degree, bit i the coefficient of x^i: x generates the field
POLYNOMIALS = {
    1: 0b11, 2: 0b111, 3: 0xB, 4: 0x13, 5: 0x25, 6: 0x43, 7: 0x89, 8: 0x11D, 9: 0x211, 10: 0x409,
}  # fmt: skip


def product(a: Ints, b: Ints, degree: int) -> Ints:
    """The product in GF(2^degree) of two arrays of bit patterns, which broadcast."""
    out = np.zeros(np.broadcast_shapes(a.shape, b.shape), dtype=np.int64)
    for i in range(degree):
        out ^= np.where((b >> i) & 1, a, 0)
        a = a << 1
        a = np.where((a >> degree) & 1, a ^ POLYNOMIALS[degree], a)
    return out


def power(y: Ints, exponent: int, degree: int) -> Ints:
    """y^exponent, exponent >= 1.

    >>> power(np.array([0, 1, 2]), 7, 3).tolist()
    [0, 1, 1]
    """
    out = np.ones_like(y)
    while exponent:
        if exponent & 1:
            out = product(out, y, degree)
        y, exponent = product(y, y, degree), exponent >> 1
    return out


def trace(y: Ints, degree: int, sub: int | None = None) -> Ints:
    """Tr(y) = sum_{i<sub} y^{2^i}, a bit: from GF(2^sub), which holds y, to GF(2).

    ``sub`` (default degree) divides degree.
    """
    total = y.copy()
    for _ in range((sub or degree) - 1):
        y = product(y, y, degree)
        total ^= y
    return total


def coset_size(exponent: int, m: int) -> int:
    """The least k with exponent 2^k = exponent mod 2^m - 1: x^exponent lives in GF(2^k).

    >>> coset_size(3, 6), coset_size(9, 6), coset_size(21, 6)
    (6, 3, 2)
    """
    order = 2**m - 1
    return next(k for k in range(1, m + 1) if exponent * (2**k - 1) % order == 0)


def trace_functions(exponent: int, m: int) -> NDArray[np.uint8]:
    """Uint8[k, 2^m] of bits: Tr_k(h^i x^exponent) for i < k, all x; they span Tr_k(b x^exponent).

    k is :func:`coset_size`, h a generator of GF(2^k); for k = m it is x, so that row i is the form
    of b = 2^i as a bit pattern.
    """
    k = coset_size(exponent, m)
    h = power(np.array([2]), (2**m - 1) // (2**k - 1), m) if m > 1 else np.array([1])
    y, rows = power(np.arange(2**m), exponent, m), []
    for _ in range(k):
        rows.append(trace(y, m, k))
        y = product(y, h, m)
    return np.array(rows, dtype=np.uint8)
