"""DeVore's keys: graphs of polynomials over a finite field, n = q^{r+1}, coherence r/q.

DeVore 2007, Deterministic constructions of compressed sensing matrices. q is the largest prime or
power of two with q^2 <= d; coordinate (x, y), x and y in GF(q), is xq + y. Key f, a polynomial
over GF(q), is 1/sqrt(q) at the points (x, f(x)) and 0 elsewhere, zero padded from q^2 to d. Key l
has the digits of l in base q as coefficients, the constant term first: so the first q^{r+1} keys
are the polynomials of degree at most r, r < q, and a longer family extends a shorter one.

<k_f, k_g> is the number of x with f(x) = g(x), over q: at most r/q for different f, g of degree at
most r. The value tables of these polynomials are the Reed-Solomon code [q, r+1] over GF(q). It is
linear, so every key sees the same. It is maximum distance separable, of least distance D = q - r,
so (MacWilliams, Sloane 1977, ch. 11) there are

    A_w = binom(q, w) sum_{j=0}^{w-D} (-1)^j binom(w, j) (q^{w-D+1-j} - 1)

words that differ from a given one in exactly w >= D places. That is the exact Gram spectrum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from .base import GapSpectrum
from .cosets import check_count
from .gf2m import product

Ints = NDArray[np.int64]


def field_size(d: int) -> int:
    """The largest q with q^2 <= d that is prime or a power of two; BadInput for d < 4.

    >>> [field_size(d) for d in (4, 16, 64, 100, 128, 256)]
    [2, 4, 8, 8, 11, 16]
    """
    for q in range(math.isqrt(d), 1, -1):
        if (q & (q - 1) == 0 and q <= 1024) or all(q % p for p in range(2, math.isqrt(q) + 1)):
            return q
    raise BadInput(f"devore keys need d >= 4, not {d}: use a larger d.")


def size(d: int) -> int:
    """How many keys there are: polynomials of degree below q, as many as a 62-bit number counts.

    >>> size(16), size(64) == 8**8
    (256, True)
    """
    q = field_size(d)
    return int(q ** min(q, int(62 / math.log2(q))))


@dataclass(frozen=True)
class PolynomialGraphs:
    """The keys of the module docstring, of degree at most ``degree``."""

    d: int
    degree: int

    def values_at(self, at: Ints) -> Ints:
        """Int64[k, q]: the values at all x of the polynomials of these numbers."""
        q = field_size(self.d)
        x, values = np.arange(q), np.zeros((len(at), q), dtype=np.int64)
        for i in range(self.degree, -1, -1):
            digit = (at // q**i % q)[:, None]
            if q & (q - 1) == 0:
                values = product(values, x[None, :], q.bit_length() - 1) ^ digit
            else:
                values = (values * x + digit) % q
        return values

    def rows_at(self, at: Ints) -> NDArray[np.float32]:
        """Float32[k, d]: the keys of these numbers."""
        values = self.values_at(at)
        q = values.shape[1]
        rows = np.zeros((len(at), self.d), dtype=np.float32)
        np.put_along_axis(rows, np.arange(q) * q + values, np.float32(q**-0.5), axis=1)
        return rows


def agreements(q: int, degree: int) -> dict[int, int]:
    """How many of the other polynomials of at most this degree agree with one in how many places.

    >>> agreements(4, 1)
    {1: 12, 0: 3}
    """
    D, counts = q - degree, {}
    for w in range(D, q + 1):
        terms = ((-1) ** j * math.comb(w, j) * (q ** (w - D + 1 - j) - 1) for j in range(w - D + 1))
        counts[q - w] = math.comb(q, w) * sum(terms)
    return counts


def devore_keys(n: int, d: int) -> tuple[PolynomialGraphs, GapSpectrum | None]:
    """The first n keys; the exact spectrum for n a power of q, and for n < q (orthogonal keys).

    BadInput for d < 4, and for more keys than there are.

    >>> keys, spectrum = devore_keys(8**3, 64)
    >>> float(max(p for p, _ in spectrum.counts) / spectrum.norm2)
    0.25
    """
    q = field_size(d)
    check_count("devore", n, d, size(d))
    degree = next(r for r in range(q) if q ** (r + 1) >= n)
    keys, square = PolynomialGraphs(d, degree), Fraction(float(np.float32(q**-0.5))) ** 2
    if 2 <= n < q:
        return keys, GapSpectrum(q * square, ((Fraction(0), n - 1),))
    if n != q ** (degree + 1):
        return keys, None
    counts = sorted((agree * square, count) for agree, count in agreements(q, degree).items())
    return keys, GapSpectrum(q * square, tuple((p, count) for p, count in counts if count))
