"""Reed-Muller keys: RM(1,m), n = 2d with coherence 0, and RM(2,m), n = 2^{1+m+m(m-1)/2}, 1/2.

d = 2^m; the keys are those of ``cosets``. RM(1,m): no forms, a Hadamard basis and its negatives.
RM(2,m): every sum of monomials x_i x_j, i < j, is a form, numbered by the bits of s, (i,j) in the
order (0,1), (0,2), (1,2), (0,3) and so on: so the first 2^{1+k+k(k-1)/2} 2^{m-k} keys use the forms
in k variables.

*RM(2,m) without looking at it* (Sloane, Berlekamp 1970; MacWilliams, Sloane 1977, ch. 15). A form
of rank 2h is x_0 x_1 + .. + x_{2h-2} x_{2h-1} plus an affine function after a change of
coordinates, so its Walsh coefficients are 2^{m-h}, up to sign, at 2^{2h} of the a, and 0 at the
others; and the symplectic forms of rank 2h over GF(2)^m number

    N_h = prod_{i=0}^{2h-1} (2^{m-i} - 1) / prod_{i=1}^{h} (2^{2i} - 1) * 2^{h(h-1)}.

Hence 2^{2h} N_h words of each weight 2^{m-1} -+ 2^{m-h-1}, with h >= 0, the weights 0 and 2^m for
h = 0; the others have weight 2^{m-1}.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from .base import GapSpectrum
from .cosets import (
    CosetKeys,
    LinearForms,
    check_count,
    linear_prefix,
    log2_dimension,
    prefix_spectrum,
    spectrum_of,
)


def monomials(m: int) -> NDArray[np.uint8]:
    """Uint8[m(m-1)/2, 2^m]: x_i x_j over all x, j ascending, then i < j."""
    x = np.arange(2**m)
    rows = [(x >> i) & (x >> j) & 1 for j in range(m) for i in range(j)]
    return np.array(rows, dtype=np.uint8).reshape(-1, 2**m)


def symplectic_forms(m: int, rank: int) -> int:
    """N_h: how many alternating bilinear forms over GF(2)^m have this rank, 2h.

    >>> [symplectic_forms(4, rank) for rank in (0, 2, 4)]
    [1, 35, 28]
    """
    h = rank // 2
    top = math.prod(2 ** (m - i) - 1 for i in range(2 * h))
    return int(2 ** (h * (h - 1)) * top // math.prod(4**i - 1 for i in range(1, h + 1)))


def second_order_counts(m: int) -> Counter[int]:
    """The Walsh coefficients of all forms of RM(2,m), by the formula; see ``walsh_counts``."""
    counts = Counter[int]()
    for h in range(m // 2 + 1):
        forms, flat = symplectic_forms(m, 2 * h), 4**h
        # The coefficients of one form sum to d, as f(0) = 0: 2^h more are positive than negative.
        plus = (flat + 2**h) // 2
        counts[2 ** (m - h)] += forms * plus
        counts[-(2 ** (m - h))] += forms * (flat - plus)
        counts[0] += forms * (2**m - flat)
    return +counts


def size(order: int, d: int) -> int:
    """The number of words of RM(order, m), order 1 or 2; BadInput for another d."""
    m = log2_dimension(f"rm{order}", d, order, 10)
    return int(2 ** (1 + m + (m * (m - 1) // 2 if order == 2 else 0)))


def reed_muller_keys(order: int, n: int, d: int) -> tuple[CosetKeys, GapSpectrum | None]:
    """The keys, and the exact spectrum for n a power of two up to 2^27 and for all of them.

    BadInput for d not a power of two from 2 (rm2: 4) to 1024, and for more keys than there are.

    >>> keys, spectrum = reed_muller_keys(2, 2**22, 64)
    >>> [(str(p), c) for p, c in spectrum.counts][:3], spectrum.others == 2**22 - 1
    ([('-1', 1), ('-1/2', 2604), ('-1/4', 291648)], True)
    """
    whole, m = size(order, d), d.bit_length() - 1
    check_count(f"rm{order}", n, d, whole)
    generators = monomials(m) if order == 2 else np.zeros((0, d), dtype=np.uint8)
    keys = CosetKeys(m, LinearForms(generators))
    if order == 2 and n == whole:
        return keys, spectrum_of(second_order_counts(m), d)
    return keys, prefix_spectrum(n, keys, linear_prefix(n, m))
