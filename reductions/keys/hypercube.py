"""Address keys (ours): k_l = the bits of l as +-1, on d_a = max(1, ceil(log2 n)) coordinates.

Unit norm, zero padded from d_a to d. They exist for every n <= 2^d = e^{0.69 d}:
exponentially many, as in Corollary 9 (n' = e^{Theta(d)}), at the price of a larger query norm.

The full family n = 2^{d_a}: exactly binom(d_a, w) keys differ from a given one in w places, and
then <k_l,k_i> = 1 - 2w/d_a, so with c = C/d_a the binomial theorem gives

    e^{-C} S_i(C) = sum_{w>=1} binom(d_a, w) e^{-2cw} = (1 + e^{-2c})^{d_a} - 1,

below 1/rho iff c > c* = -1/2 ln((1 + 1/rho)^{1/d_a} - 1). That is :func:`full_family_scale`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from .base import GapSpectrum


def address_bits(n: int) -> int:
    """d_a = max(1, ceil(log2 n)), the coordinates that n different sign patterns need.

    >>> [address_bits(n) for n in (1, 2, 3, 4, 5, 512)]
    [1, 1, 2, 2, 3, 9]
    """
    return max(1, (n - 1).bit_length())


def full_family_scale(d_a: int, rho: float) -> float:
    """C* = c* d_a for unit keys, the threshold of ``rho e^{-C} S_i(C) < 1`` at n = 2^{d_a}.

    >>> round(full_family_scale(8, 1.0), 2), round(full_family_scale(10, 19.0), 2)
    (9.61, 26.35)
    """
    return -0.5 * d_a * math.log(math.expm1(math.log1p(1 / rho) / d_a))


@dataclass(frozen=True)
class AddressKeys:
    """The keys of the module docstring on d_a of d coordinates."""

    d_a: int
    d: int

    def rows_at(self, at: NDArray[np.int64]) -> NDArray[np.float32]:
        """Float32[k, d]: the keys of these numbers."""
        entry = np.float32(1 / math.sqrt(self.d_a))
        bits = (at[:, None] >> np.arange(self.d_a)) & 1
        rows = np.zeros((len(at), self.d), dtype=np.float32)
        rows[:, : self.d_a] = np.where(bits == 1, -entry, entry)
        return rows


def hypercube_keys(n: int, d: int) -> tuple[AddressKeys, GapSpectrum | None]:
    """The first n keys, and the exact spectrum when n = 2^{d_a}; BadInput when n > 2^d."""
    d_a = address_bits(n)
    if d_a > d:
        raise BadInput(
            f"There are at most 2^{d} = {2**d} hypercube keys of dimension {d}, not {n}: use "
            f"a smaller n or d >= {d_a}."
        )
    keys = AddressKeys(d_a, d)
    if n != 2**d_a:
        return keys, None
    square = Fraction(float(np.float32(1 / math.sqrt(d_a)))) ** 2
    counts = [((d_a - 2 * w) * square, math.comb(d_a, w)) for w in range(d_a, 0, -1)]
    return keys, GapSpectrum(d_a * square, tuple(counts))
