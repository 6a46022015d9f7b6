"""Codes made of cosets of the first-order Reed-Muller code, as sign keys computed on demand (ours).

d = 2^m, x in GF(2)^m as the bits of a number. A *form* f_s is any 0/1 function of x, f_0 = 0. Key
l = 2d s + d c + a, with c a bit and a < d, is

    k_l(x) = (-1)^{f_s(x) + a.x + c} / sqrt(d):

d orthonormal keys, their negatives, and so on with the next form. If the words form a linear code,
or look the same from each word, every key sees what key 0 sees, and <k_l,k_0> is a Walsh
coefficient of f_s: W_s(a) = sum_x (-1)^{f_s(x) + a.x}, over d, with both signs as c varies. So the
*exact* Gram spectrum is a count of the integers W_s(a), and that is how it is made: by fast Walsh
transforms of all forms (:func:`walsh_counts`). A word of weight w has inner product 1 - 2w/d with
the zero word.

A linear code numbers its forms linearly: f_s is the sum of the generators at the bits of s. Then
the first n = 2^k keys are a linear code as well, with its own exact spectrum.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from ..quadratic_forms import linear_forms
from .base import GapSpectrum

Ints = NDArray[np.int64]
Bits = NDArray[np.uint8]

#: how many coefficients are transformed for a spectrum nobody has a formula for: half a second
WALSH_LIMIT = 1 << 26
_BLOCK = 1 << 19


def log2_dimension(name: str, d: int, least: int, most: int) -> int:
    """M = log2 d; BadInput unless d is a power of two with least <= m <= most."""
    m = d.bit_length() - 1
    if d != 2**m or not least <= m <= most:
        raise BadInput(
            f"{name} keys need d to be a power of two from {2**least} to {2**most}, not "
            f"{d}: use one of these."
        )
    return m


def check_count(name: str, n: int, d: int, most: int) -> None:
    """BadInput when more keys are asked for than there are."""
    if n > most:
        raise BadInput(
            f"There are only {most} {name} keys of dimension {d}, not {n}: use n <= {most}."
        )


@functools.cache
def _linear(m: int) -> Bits:
    return linear_forms(2**m, m).astype(np.uint8)


def sign_entry(d: int) -> np.float32:
    """1/sqrt(d) as sent."""
    return np.float32(d**-0.5)


@dataclass(frozen=True, eq=False)
class CosetKeys:
    """The keys of the module docstring.

    Attributes:
        m: log2 d.
        forms: int64[k] of numbers s -> uint8[k, d], the forms f_s as bits.
    """

    m: int
    forms: Callable[[Ints], Bits]

    def rows_at(self, at: Ints) -> NDArray[np.float32]:
        """Float32[k, d]: the keys of these numbers."""
        d = 2**self.m
        s, rest = np.divmod(at, 2 * d)
        # Keys side by side share a form: it is computed once.
        distinct, which = np.unique(s, return_inverse=True)
        bits = self.forms(distinct)[which]
        bits ^= _linear(self.m)[rest % d]
        bits ^= (rest // d).astype(np.uint8)[:, None]
        rows: NDArray[np.float32] = bits.astype(np.float32)
        # 1/sqrt(d) (1 - 2b), without rounding: b is 0 or 1, and twice a float32 is one.
        r = sign_entry(d)
        rows *= -2 * r
        rows += r
        return rows


@dataclass(frozen=True, eq=False)
class LinearForms:
    """f_s = the sum of the generators, uint8[g, d], at the bits of s: forms of a linear code."""

    generators: Bits

    def __call__(self, s: Ints) -> Bits:
        """Uint8[k, d] for the numbers s, int64[k]."""
        out = np.zeros((len(s), self.generators.shape[1]), dtype=np.uint8)
        for i, generator in enumerate(self.generators):
            out ^= ((s >> i) & 1).astype(np.uint8)[:, None] * generator
        return out


def walsh_counts(forms: Callable[[Ints], Bits], s: Ints | range, m: int) -> Counter[int]:
    """How many pairs (s, a) have which Walsh coefficient W_s(a): exact integers.

    >>> one = np.array([[0, 0, 0, 1]], dtype=np.uint8)
    >>> sorted(walsh_counts(LinearForms(one), range(2), 2).items())
    [(-2, 1), (0, 3), (2, 3), (4, 1)]
    """
    numbers, d = np.asarray(s, dtype=np.int64), 2**m
    tally, step = np.zeros(2 * d + 1, dtype=np.int64), max(1, _BLOCK // d)
    for start in range(0, len(numbers), step):
        # One column a form, so that every butterfly adds long rows.
        w = np.ascontiguousarray(1 - 2 * forms(numbers[start : start + step]).T.astype(np.int16))
        for i in range(m):
            pairs = w.reshape(d >> (i + 1), 2, 2**i, -1)
            difference = pairs[:, 0] - pairs[:, 1]
            pairs[:, 0] += pairs[:, 1]
            pairs[:, 1] = difference
        tally += np.bincount(w.ravel() + np.int16(d), minlength=2 * d + 1)
    return Counter({int(v) - d: int(tally[v]) for v in np.flatnonzero(tally)})


def spectrum_of(walsh: Mapping[int, int], d: int) -> GapSpectrum:
    """The spectrum of the float32 keys from the counts of W_s(a) over all their forms and all a."""
    square, words = Fraction(float(sign_entry(d))) ** 2, Counter[int]()
    for value, count in walsh.items():
        words[value] += count
        words[-value] += count
    words[d] -= 1  # the key itself
    counts = sorted((value * square, count) for value, count in words.items() if count)
    return GapSpectrum(d * square, tuple(counts))


def orthonormal_spectrum(n: int, d: int) -> GapSpectrum:
    """The first n <= d keys, which are orthogonal."""
    return GapSpectrum(d * Fraction(float(sign_entry(d))) ** 2, ((Fraction(0), n - 1),))


def prefix_spectrum(n: int, keys: CosetKeys, forms: int) -> GapSpectrum | None:
    """The spectrum of the first n keys if they look alike and it can be counted, else None.

    They do for n <= d and for the first ``forms`` = n/(2d) forms where the caller vouches for it;
    0 says that he does not.
    """
    d = 2**keys.m
    if 2 <= n <= d:
        return orthonormal_spectrum(n, d)
    if forms < 1 or n != 2 * d * forms or forms * d > WALSH_LIMIT:
        return None
    return spectrum_of(walsh_counts(keys.forms, range(forms), keys.m), d)


def linear_prefix(n: int, m: int) -> int:
    """How many forms the first n keys of a linear code use where they are a code, else 0.

    >>> linear_prefix(128, 5), linear_prefix(64, 5), linear_prefix(96, 5), linear_prefix(32, 5)
    (2, 1, 0, 0)
    """
    return n >> (m + 1) if n & (n - 1) == 0 else 0
