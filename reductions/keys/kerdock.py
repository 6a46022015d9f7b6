"""Kerdock keys: n = d^2 unit vectors in R^d, d = 2^m, m even, with coherence exactly 1/sqrt(d).

The Kerdock code (Kerdock 1972) as signs. F = GF(2^{m-1}), Tr its trace to GF(2), x = (z, e) with z
in F and e a bit. For s in F, a in GF(2)^m and a bit c, the key (s, c, a) is

    k(x) = (-1)^{Q_s(x) + a.x + c} / sqrt(d),
    Q_s(z, e) = sum_{i=1}^{(m-2)/2} Tr((sz)^{2^i+1}) + e Tr(sz).

Row l has s = l div 2d, c = (l mod 2d) div d, a = l mod d. The first d rows are a Hadamard basis,
the next d their negatives, and so on; whole blocks of 2d rows (one s) see the same spectrum.

Why. Write t = (m-2)/2, so |F| = 2^k with k = 2t+1 odd. Since Tr(y y'^{2^i}) = Tr(y' y^{2^{k-i}}),
the bilinear form of T(y) = sum_{i=1}^{t} Tr(y^{2^i+1}) is Tr(y' sum_{i=1}^{k-1} y^{2^i}) =
Tr(y)Tr(y') + Tr(yy'). Let s != s' and let (z, e) lie in the radical of the form of Q_s + Q_s':
for all z', e'

    Tr(sz)Tr(sz') + Tr(s'z)Tr(s'z') + Tr((s+s')^2 zz') + e Tr((s+s')z') + e' Tr((s+s')z) = 0.

e' gives Tr(sz) = Tr(s'z) =: r; then z' gives r(s+s') + (s+s')^2 z + e(s+s') = 0, so (s+s')z = r+e,
a bit; its trace is r+e because k is odd, and is 0, so r = e, z = 0, hence r = 0, e = 0. So the form
is nonsingular, and (sum_x (-1)^{(Q_s+Q_s')(x) + a.x})^2 = sum_y (-1)^{(Q_s+Q_s')(y) + a.y}
sum_x (-1)^{B(x,y)} = 2^m: two keys with different s have inner product +-1/sqrt(d), and flipping c
flips the sign, so each sign occurs d times in every other block of 2d. Two keys with the same s
have inner product 0, or -1 when only c differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from .base import GapSpectrum
from .cosets import CosetKeys, check_count
from .gf2m import POLYNOMIALS, product, trace

__all__ = ["DIMENSIONS", "POLYNOMIALS", "TabledForms", "kerdock_keys", "quadratic_forms"]

#: the dimensions at hand and m = log2 d
DIMENSIONS = {4: 2, 16: 4, 64: 6, 256: 8}


def quadratic_forms(count: int, m: int) -> NDArray[np.int64]:
    """Int64[count, 2^m] of bits: Q_s(x) for s = 0 .. count-1, with x = z + 2^{m-1} e."""
    k = m - 1
    z = np.arange(2**k)
    y = product(np.arange(count)[:, None], z[None, :], k)
    power, form = y, np.zeros_like(y)
    for _ in range((m - 2) // 2):
        power = product(power, power, k)
        form ^= trace(product(power, y, k), k)
    return np.concatenate([form, form ^ trace(y, k)], axis=1)


def _spectrum(n: int, d: int) -> GapSpectrum:
    """One key's inner products over n // (2d) whole blocks (derived in the module docstring)."""
    blocks, root = n // (2 * d), round(d**0.5)
    counts = [(Fraction(-1), 1), (Fraction(0), 2 * d - 2)]
    if blocks > 1:
        half = (blocks - 1) * d
        counts += [(Fraction(-1, root), half), (Fraction(1, root), half)]
    return GapSpectrum(Fraction(1), tuple(sorted(counts)))


@dataclass(frozen=True, eq=False)
class TabledForms:
    """Forms listed one by one, uint8[count, d]."""

    table: NDArray[np.uint8]

    def __call__(self, s: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Uint8[k, d] for the numbers s, int64[k]."""
        return self.table[s]


def kerdock_keys(n: int, d: int) -> tuple[CosetKeys, GapSpectrum | None]:
    """The first n Kerdock keys; entries +-1/sqrt(d) are exact in float32.

    Only the forms that n touches are made. The exact spectrum comes with whole blocks, n a
    multiple of 2d. BadInput for another d, and for n > d^2.

    >>> keys, spectrum = kerdock_keys(16, 4)
    >>> [(str(p), c) for p, c in spectrum.counts]
    [('-1', 1), ('-1/2', 4), ('0', 6), ('1/2', 4)]
    """
    if d not in DIMENSIONS:
        raise BadInput(f"kerdock keys need d = 4, 16, 64 or 256, not {d}: use one of these.")
    check_count("kerdock", n, d, d * d)
    m = DIMENSIONS[d]
    table = quadratic_forms(-(-n // (2 * d)), m).astype(np.uint8)
    spectrum = _spectrum(n, d) if n % (2 * d) == 0 else None
    return CosetKeys(m, TabledForms(table)), spectrum
