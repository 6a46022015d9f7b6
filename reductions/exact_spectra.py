"""The Gram spectra of the explicit key families, derived again in whole numbers, without NumPy.

A *flat* family has keys k_i = r s_i with integer vectors s_i and one float32 number r, the nearest
to 1/|s_i|. What key 0 sees are the integers <s_l, s_0>, with how often each occurs. For each family
``DERIVED`` says how the counts are obtained here and ``TAKEN`` what is believed of the construction
beyond that; the proofs are in the modules of ``keys``, which compute the same otherwise.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

from ..errors import BadInput, did_you_mean
from .form_ranks import (
    all_nonsingular,
    alternating_ranks,
    goethals_ranks,
    kerdock_polars,
    words_of_ranks,
)
from .packed_walsh import coset_size, span_counts, trace_code_counts, trace_generators

#: how the counts are obtained here
DERIVED = {
    "hypercube": "its spectrum was re-derived from binomial coefficients",
    "rm1": "its spectrum was re-derived from the orthogonality of characters",
    "rm2": "its spectrum was re-derived by counting alternating forms by rank",
    "kerdock": "its spectrum was re-derived after checking that every two of its quadratic forms "
    "differ by a nonsingular one",
    "gold": "its spectrum was re-derived by Walsh transforms of the trace forms",
    "bch": "its spectrum was re-derived by Walsh transforms of the trace forms",
    "delsarte-goethals": "its spectrum was re-derived from the ranks of its quadratic forms",
    "devore": "its spectrum was re-derived by inclusion and exclusion over roots of polynomials",
    "kissing": "its spectrum was re-derived from the equations of a spherical design",
}
_LINEAR = "only that the words are a linear code, so that every key sees the same"
#: what is believed of the construction beyond that
TAKEN = {
    "hypercube": "only that flipping signs carries any key to any other",
    "rm1": _LINEAR,
    "rm2": _LINEAR,
    "kerdock": "nothing",
    "gold": _LINEAR,
    "bch": _LINEAR,
    "delsarte-goethals": "that every key sees the same (Delsarte, Goethals 1975)",
    "devore": "only that polynomials of bounded degree are a linear space, so that every key sees "
    "the same",
    "kissing": "that the minimal vectors are a spherical design of the stated strength and inner "
    "products (Conway, Sloane 1999)",
}
#: exponents of the BCH chains, by m, as in ``keys.trace_codes``
_CHAINS = {4: (5, 3), 5: (5, 3, 11), 6: (9, 5, 21, 3), 7: (9, 5, 21), 8: (17, 9, 5)}
#: by d: |s|^2, how many, strength of the design, positive inner products below |s|^2
_LATTICES = {
    3: (2, 12, 3, (1,)),
    4: (2, 24, 5, (1,)),
    8: (4, 240, 7, (2,)),
    16: (8, 4320, 7, (4, 2)),
    24: (64, 196560, 11, (32, 16)),
}
_DIMENSIONS = {
    "rm1": range(1, 11), "rm2": range(2, 11), "kerdock": range(2, 9, 2), "gold": range(3, 11),
    "bch": range(4, 9), "delsarte-goethals": range(4, 9, 2),
}  # fmt: skip


@dataclass(frozen=True)
class FlatSpectrum:
    """What every key of a flat family sees.

    Attributes:
        norm: <s_i, s_i>, an integer; the key is s_i times :attr:`entry`.
        counts: pairs (p, c), ascending: exactly c of the other n-1 keys have <s_l, s_i> = p.
    """

    norm: int
    counts: tuple[tuple[int, int], ...]

    @property
    def entry(self) -> Fraction:
        """r: the float32 number nearest to 1/sqrt(norm), exactly."""
        return nearest_inverse_root(self.norm)


def flat_spectrum(family: str, n: int, d: int) -> FlatSpectrum:
    """The spectrum of the first n keys in dimension d, as ``keys.make`` knows them.

    BadInput if the family does not have these keys, or its first n keys differ in spectrum.

    >>> flat_spectrum("kerdock", 256, 16).counts
    ((-16, 1), (-4, 112), (0, 30), (4, 112))
    >>> flat_spectrum("rm2", 2**56, 1024).counts[-1]
    (512, 697004)
    """
    if family not in DERIVED:
        raise BadInput(
            f"kvbarrier derives no exact spectrum for '{family}' "
            f"keys.{did_you_mean(family, DERIVED)}"
        )
    if n < 2 or not 1 <= d <= 1 << 16:
        raise BadInput(f"A spectrum needs n >= 2 and d from 1 to 65536, not {n} and {d}.")
    norm, seen = _seen(family, n, d)
    seen[norm] -= 1  # the key itself
    counts = tuple(sorted((p, c) for p, c in seen.items() if c))
    if sum(c for _, c in counts) != n - 1 or min(c for _, c in counts) < 1:
        raise AssertionError(f"a spectrum of {n} {family} keys does not add up")
    return FlatSpectrum(norm, counts)


def nearest_inverse_root(norm: int) -> Fraction:
    """The float32 number nearest to 1/sqrt(norm), norm >= 1, in exact arithmetic.

    >>> nearest_inverse_root(64), nearest_inverse_root(2) == Fraction(11863283, 2**24)
    (Fraction(1, 8), True)
    """
    guess = struct.unpack("<I", struct.pack("<f", 1 / math.sqrt(norm)))[0]
    floats = [
        Fraction(struct.unpack("<f", struct.pack("<I", guess + step))[0]) for step in (-1, 0, 1)
    ]
    below, at, above = floats
    if not (below + at) ** 2 * norm < 4 < (at + above) ** 2 * norm:
        raise AssertionError(f"1/sqrt({norm}) was not rounded correctly")
    return at


def _seen(family: str, n: int, d: int) -> tuple[int, Counter[int]]:
    """(|s|^2, the inner products of key 0 with all n keys, itself included)."""
    if family == "hypercube":
        d_a = n.bit_length() - 1
        if n != 2**d_a or d_a > d:
            raise _no_spectrum(family, n, d, "a power of two up to 2^d")
        return d_a, Counter({d_a - 2 * w: math.comb(d_a, w) for w in range(d_a + 1)})
    if family == "devore":
        return _polynomials(n, d)
    if family == "kissing":
        if d not in _LATTICES or n != _LATTICES[d][1]:
            raise _no_spectrum(family, n, d, "12, 24, 240, 4320, 196560 for d = 3, 4, 8, 16, 24")
        return _lattice(d)
    m = d.bit_length() - 1
    if d != 2**m or m not in _DIMENSIONS[family]:
        raise BadInput(f"There are no {family} keys of dimension {d}.")
    if n <= d and family != "kerdock":
        return d, Counter({d: 1, 0: n - 1})  # different characters are orthogonal
    return d, _code_words(family, n, m)


def _code_words(family: str, n: int, m: int) -> Counter[int]:
    d, forms = 2**m, n >> (m + 1)
    if family == "kerdock" or (family == "delsarte-goethals" and n <= d * d):
        if n % (2 * d) or not 1 <= forms <= d // 2:
            raise _no_spectrum(family, n, d, "a multiple of 2d")
        if not all_nonsingular(kerdock_polars(m, forms)):
            raise AssertionError("two Kerdock forms differ by a singular one")
        return words_of_ranks(Counter({0: 1, m: forms - 1}), m)
    bits = max(0, forms.bit_length() - 1)
    if n != 2 * d << bits:
        raise _no_spectrum(family, n, d, "a power of two")
    if family == "delsarte-goethals":
        _at_most(family, n, d, d**3 // 2)
        return words_of_ranks(goethals_ranks(m, bits - (m - 1)), m)
    if family in ("rm1", "rm2"):
        _at_most(family, n, d, 2 * d << (m * (m - 1) // 2 if family == "rm2" else 0))
        if bits == 0:
            return words_of_ranks(Counter({0: 1}), m)
        k = next(k for k in range(1, m) if k * (k + 1) // 2 >= bits)
        return words_of_ranks(alternating_ranks(k, bits - k * (k - 1) // 2), m)
    exponents = (3,) if family == "gold" else _CHAINS[m]
    sizes = [coset_size(e, m) for e in exponents]
    _at_most(family, n, d, 2 * d << sum(sizes))
    for i in range(1, len(exponents) + 1):
        if bits == sum(sizes[:i]):
            return _with_both_signs(trace_code_counts(m, exponents[:i]))
    generators = [form for e in exponents for form in trace_generators(e, m)]
    return _with_both_signs(span_counts(m, generators[:bits]))


def _with_both_signs(walsh: Counter[int]) -> Counter[int]:
    words = Counter(walsh)
    for value, count in walsh.items():
        words[-value] += count
    return words


def _polynomials(n: int, d: int) -> tuple[int, Counter[int]]:
    """DeVore: how many polynomials of degree at most r vanish at exactly how many of q points.

    At j <= r+1 given points q^{r+1-j} of them vanish, at more only 0; inclusion and exclusion.
    """
    q = next((q for q in range(math.isqrt(d), 1, -1) if _is_field(q)), 0)
    if 2 <= n < q:
        return q, Counter({q: 1, 0: n - 1})  # constants
    r = next((r for r in range(min(q, 64)) if q ** (r + 1) >= n), -1) if q else -1
    if r < 0 or q ** (r + 1) != n:
        raise _no_spectrum("devore", n, d, f"a power of {q}" if q else "a power of q, q^2 <= d")
    at_least = [math.comb(q, j) * q ** max(0, r + 1 - j) for j in range(q + 1)]
    exactly = {
        j: sum((-1) ** (i - j) * math.comb(i, j) * at_least[i] for i in range(j, q + 1))
        for j in range(q + 1)
    }
    return q, Counter(exactly)


def _is_field(q: int) -> bool:
    prime = all(q % p for p in range(2, math.isqrt(q) + 1))
    return prime or q & (q - 1) == 0


def _lattice(d: int) -> tuple[int, Counter[int]]:
    """The counts that the design's even moments leave: sum_y <x,y>^{2k} = n norm^{2k} mean_k.

    mean_k = 1 3 .. (2k-1) / (d (d+2) .. (d+2k-2)), for 2k up to the strength. The set is symmetric,
    sees itself once, and its other inner products are +-p and 0.
    """
    norm, n, strength, inner = _LATTICES[d]
    moments, mean = [], Fraction(1)
    for k in range(strength // 2 + 1):
        moments.append((n * mean - 2) / 2)  # of one half, without the key and its opposite
        mean *= Fraction(2 * k + 1, d + 2 * k)
    squares = [Fraction(p, norm) ** 2 for p in inner]
    if len(squares) == 1:
        pairs = [moments[1] / squares[0]]
    else:
        a, b = squares
        first = (moments[2] - b * moments[1]) / (a * (a - b))
        pairs = [first, (moments[1] - a * first) / b]
    for k, moment in enumerate(moments[1:], start=1):
        if sum(c * s**k for c, s in zip(pairs, squares, strict=True)) != moment:
            raise AssertionError(f"no design of strength {strength} in dimension {d}")
    seen = Counter({norm: 1, -norm: 1, 0: int(2 * (moments[0] - sum(pairs)))})
    for p, c in zip(inner, pairs, strict=True):
        seen[p] = seen[-p] = int(c)
    return norm, seen


def _at_most(family: str, n: int, d: int, most: int) -> None:
    if n > most:
        raise BadInput(f"There are {most} {family} keys of dimension {d}, not {n}.")


def _no_spectrum(family: str, n: int, d: int, expected: str) -> BadInput:
    return BadInput(
        f"kvbarrier derives no exact spectrum for the first {n} {family} keys of dimension "
        f"{d}: use n {expected}."
    )
