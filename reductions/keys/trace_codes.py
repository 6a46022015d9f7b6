"""Trace-code keys: Gold, Delsarte-Goethals and extended BCH codes as signs.

d = 2^m; the keys are those of ``cosets``. x runs through GF(2^m), and the forms are sums of
Tr_k(b x^e), b in GF(2^k), the least field that x^e lives in.

*gold*: e = 3, n = 2d^2. Coherence sqrt(2/d) for odd m and 2/sqrt(d) for even m: the radical of
Tr(bx^3), b != 0, is {x = 0 or x^3 = 1/b} (``quadratic_forms``), which has 2 elements where cubing
is a bijection, m odd, and at most 4 otherwise; and a Walsh coefficient is at most the root of
d |radical|.

*bch*: the extended primitive BCH codes of length d and low rate, written with traces (Mattson,
Solomon 1961). A chain of exponents e, each code inside the next; the published [d, k, least
distance] (MacWilliams, Sloane 1977, ch. 9):

===  =========================================================================================
d    e, with the code that it completes
===  =========================================================================================
16   5 [16,7,6], 3 [16,11,4]
32   5 [32,11,12], 3 [32,16,8], 11 [32,21,6]
64   9 [64,10,28], 5 [64,16,24], 21 [64,18,22], 3 [64,24,16]
128  9 [128,15,56], 5 [128,22,48], 21 [128,29,44]
256  17 [256,13,120], 9 [256,21,112], 5 [256,29,96]
===  =========================================================================================

n = 2^k takes the first n words: all of one of these codes, where k says so, and the coherence is
1 - 2 (least distance)/d. Which exponents matters: at d = 64, {5, 9} gives distance 24 and {3, 9},
which is as large, only 16. 21 and 11 have three binary digits 1: these forms are cubic.

*delsarte-goethals* (Delsarte, Goethals 1975): d = 16, 64, 256, n = d^3/2, coherence 2/sqrt(d),
not linear. With F = GF(2^{m-1}), x = (z, e) and Q_u as in ``kerdock``, the forms are
Q_u(z, e) + Tr(gz^3), u and g in F, s = u + 2^{m-1} g: the first d^2 keys are Kerdock's.
Proof of the coherence. The polar form of Tr(gz^3) is Tr((g z^2 + sqrt(gz)) z'). For u != 0, let
(z, e) be in the radical of Q_u + Tr(gz^3): as in ``kerdock``, Tr(uz) = 0 and then
u^2 z + eu + g z^2 + sqrt(gz) = 0, whose square has degree at most 4 in z and a root z for each e in
the radical: at most 8 elements, so 4, since the rank and m are even. For u = 0 and g != 0 it is
{z = 0 or z^3 = 1/g} with any e: 4 elements, as cubing is a bijection on F.
Any key sees what key 0 sees. With A = Tr(sz), S = Tr(uz), dashes for z': (z, e) -> (z, e + A)
carries the polar form SS' + Tr(u^2 zz') + eS' + e'S of Q_u to SS' + AS' + A'S + Tr(u^2 zz') + eS' +
e'S, which is that of Q_s + Q_{s+u}: there (A+S)(A'+S') + AA' stands for SS' + AS' + A'S. It leaves
Tr(gz^3) alone. So the forms Q_s + Q_s' + Tr(gz^3), s' and g running, are up to affine functions and
a change of coordinates the forms Q_u + Tr(gz^3). This also holds with g in a subspace of F.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from .base import GapSpectrum
from .cosets import (
    CosetKeys,
    LinearForms,
    check_count,
    linear_prefix,
    log2_dimension,
    prefix_spectrum,
    spectrum_of,
    walsh_counts,
)
from .gf2m import coset_size, trace_functions
from .kerdock import quadratic_forms

Ints = NDArray[np.int64]
Bits = NDArray[np.uint8]

#: the exponents of *bch*, by m
CHAINS = {4: (5, 3), 5: (5, 3, 11), 6: (9, 5, 21, 3), 7: (9, 5, 21), 8: (17, 9, 5)}
#: log2 d of *delsarte-goethals*
EVEN = (4, 6, 8)


def trace_keys(m: int, exponents: tuple[int, ...]) -> CosetKeys:
    """The linear code of all a.x + c + sum_e Tr(b_e x^e), the first exponent in the lowest bits."""
    return CosetKeys(m, LinearForms(np.concatenate([trace_functions(e, m) for e in exponents])))


def trace_counts(m: int, exponents: tuple[int, ...]) -> Counter[int]:
    """The Walsh coefficients of all forms of :func:`trace_keys`; see ``walsh_counts``.

    x -> tx, t != 0, permutes the coordinates and multiplies b_e by t^-e: one b_e, of the exponent
    where that saves most, need only run through representatives of the orbits of these factors.
    """
    sizes = [coset_size(e, m) for e in exponents]
    # t^e runs through the subgroup of this index in the nonzero elements of GF(2^k).
    orbits = [
        (2**k - 1) * math.gcd(e, 2**m - 1) // (2**m - 1)
        for e, k in zip(exponents, sizes, strict=True)
    ]
    at = min(
        (i for i, k in enumerate(sizes) if orbits[i] <= k),
        key=lambda i: (1 + orbits[i]) / 2 ** sizes[i],
    )
    low, k, fewer = sum(sizes[:at]), sizes[at], orbits[at]
    rest = np.arange(2 ** (sum(sizes) - k))
    rest = rest % 2**low + (rest >> low << (low + k))
    forms = trace_keys(m, exponents).forms
    total = walsh_counts(forms, rest, m)
    for orbit in range(fewer):
        # Generator i of the group is h^i, and h generates the nonzero elements: h^0, h^1, ..
        found = walsh_counts(forms, rest + (1 << (low + orbit)), m)
        for value, count in found.items():
            total[value] += count * ((2**k - 1) // fewer)
    return total


def sizes_of(exponents: tuple[int, ...], m: int) -> list[int]:
    """The number of words with no, one, two .. of the exponents.

    >>> [n.bit_length() - 1 for n in sizes_of(CHAINS[6], 6)]
    [7, 10, 16, 18, 24]
    """
    return [2**k for k in accumulate((coset_size(e, m) for e in exponents), initial=m + 1)]


def chain(name: str, d: int) -> tuple[int, ...]:
    """The exponents of "gold" or "bch" in this dimension; BadInput if it has none."""
    m = log2_dimension(name, d, 3, 10) if name == "gold" else log2_dimension(name, d, 4, 8)
    return (3,) if name == "gold" else CHAINS[m]


def size(name: str, d: int) -> int:
    """How many keys "gold", "bch" or "delsarte-goethals" has; BadInput for another d."""
    if name == "delsarte-goethals":
        if d.bit_length() - 1 not in EVEN or d & (d - 1):
            raise BadInput(f"{name} keys need d = 16, 64 or 256, not {d}: use one of these.")
        return d**3 // 2
    return sizes_of(chain(name, d), d.bit_length() - 1)[-1]


@functools.lru_cache(maxsize=4)
def _whole(m: int, exponents: tuple[int, ...]) -> GapSpectrum:
    return spectrum_of(trace_counts(m, exponents), 2**m)


def trace_code_keys(name: str, n: int, d: int) -> tuple[CosetKeys, GapSpectrum | None]:
    """The keys of "gold" or "bch", and the exact spectrum for n a power of two where it is known.

    That is up to 2^27, and for the codes of the chain.
    BadInput for a dimension without them (see the module), and for more keys than there are.

    >>> keys, spectrum = trace_code_keys("bch", 2**16, 64)
    >>> [(str(p), c) for p, c in spectrum.counts]
    [('-1', 1), ('-1/4', 5040), ('-1/8', 12544), ('0', 30366), ('1/8', 12544), ('1/4', 5040)]
    """
    check_count(name, n, d, size(name, d))
    exponents, m = chain(name, d), d.bit_length() - 1
    keys, sizes = trace_keys(m, exponents), sizes_of(exponents, m)
    if n in sizes[1:]:
        return keys, _whole(m, exponents[: sizes.index(n)])
    return keys, prefix_spectrum(n, keys, linear_prefix(n, m))


@dataclass(frozen=True, eq=False)
class GoethalsForms:
    """The forms of *delsarte-goethals*: Q_u, uint8[2^{m-1}, d], plus Tr(gz^3)."""

    kerdock: Bits
    cubes: LinearForms

    def __call__(self, s: Ints) -> Bits:
        """Uint8[k, d] for the numbers s = u + 2^{m-1} g, int64[k]."""
        g, u = np.divmod(s, len(self.kerdock))
        return self.kerdock[u] ^ self.cubes(g)


def goethals_forms(m: int) -> GoethalsForms:
    """All of them for even m >= 4 (kerdock's 4, 6, 8)."""
    cubes = np.tile(trace_functions(3, m - 1), 2)
    return GoethalsForms(quadratic_forms(2 ** (m - 1), m).astype(np.uint8), LinearForms(cubes))


def goethals_keys(n: int, d: int) -> tuple[CosetKeys, GapSpectrum | None]:
    """The keys of "delsarte-goethals", and the exact spectrum for n = d^2 2^j, g in a subspace.

    Up to d^2 for n a multiple of 2d, as in ``kerdock``.
    BadInput for another d, and for more keys than there are.

    >>> [str(p) for p, _ in goethals_keys(2**17, 64)[1].counts]
    ['-1', '-1/4', '-1/8', '0', '1/8', '1/4']
    """
    check_count("delsarte-goethals", n, d, size("delsarte-goethals", d))
    m = d.bit_length() - 1
    keys = CosetKeys(m, goethals_forms(m))
    return keys, prefix_spectrum(n, keys, n // (2 * d) if n <= d * d else linear_prefix(n, m))
