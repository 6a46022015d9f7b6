"""When does one output tell a key's payload from the next level? Exact conditions, scales (ours).

Setting of ``key_payload``: keys (A_l, y_l), addresses A_l in {-1,1}^{d_a}, payloads y_l of levels
Y, L = 2^b of them, (2g - L + 1)/2^{b-1} for g < L, exact in float32; b = 1: y = +-1. S'(c) =
sum_{l != i} e^{c <A_l,A_i> - c d_a}; all 2^{d_a} addresses taken it is (1 + e^{-2c})^{d_a} - 1
(``keys.hypercube``), and a prefix of them has less. rho = (1+eta)/(1-eta).

Is y_ij above t, a cut halfway between two levels? Bob appends a *reference*
k_n = (A_i, t e_j), v_n = V e_1, with q = (c' A_i, beta e_j), and reads coordinate 1. Let h =
2^{1-b} be half a step, zeta = e^{beta h} the *odds*, top = 2 - h the highest level. Over the
reference's weight token i weighs z = e^{beta (y_ij - t)}, at least zeta above the cut and at most
1/zeta below, and the others weigh r in [m S', M S'], m = e^{-beta (top + t)} (all their y_lj
lowest), M = e^{beta (top - t)} (all highest). The exact output is

    o = (V + x_i1 z + X) / (1 + z + r),    0 <= X <= r,

and for V >= 1 the least output of a y_ij below and the largest of one above the cut are

    below:  V / (1 + 1/zeta + M S')                       attained: x = 0, the others' y highest
    above:  (V + zeta + m S') / (1 + zeta + m S')         attained: x = 1, the others' y lowest

since V/(1+u) and (V+u)/(1+u) fall in u = z + r, and y_ij may be next to the cut. Answers within
1 +- eta keep the two apart, and one cut on the output reads the bit, **iff**

    rho (V + zeta + m S') (1 + 1/zeta + M S') < V (1 + zeta + m S').                           (K)

With sigma = M S' and k = m/M = e^{-2 beta top}, which does not depend on t, (K) is

    rho k sigma^2 + (rho k (1 + 1/zeta) + rho (V + zeta) - V k) sigma < G,
    G = (1 + zeta) (V (1 - rho/zeta) - rho).                                                  (K')

k <= 1 <= rho makes the coefficient of sigma positive, so (K) holds iff **sigma < sigma***, the
positive root, which there is iff G > 0:  **zeta > rho and V > rho zeta/(zeta - rho)**. M is largest
at the lowest cut, M = zeta^{2L-3}, so all payloads are read iff also

    S'(c') < sigma* zeta^{-(2L-3)}.                                                          (K'')

As V -> inf and c' -> inf what is left is zeta > rho: beta > 2^{b-1} ln rho for levels up to 2 - h,
beta > (2^b - 1) ln rho counted for levels in [-1, 1]. So b is limited by the query's norm only, at
*constant* eta, while values carry the logarithm of a logarithm (``levels``): keys must be kept at a
higher precision than values.

**The choice.** c' is the exact root (``interference.tight_scale``); zeta and V are free. V is the
first power of two from 32 rho zeta/(zeta - rho), which costs sigma* little and suits fp16. The
largest score, c' d_a + beta top, is near (d_a/2) ln(d_a zeta^{2L-3}/sigma*) + (L-1) ln zeta, and
sigma* is near (1 + zeta)(1/rho - 1/zeta); the derivative in ln zeta vanishes where

    rho/(zeta - rho) = 2L - 3 - zeta/(1+zeta) + 2(L-1)/d_a,

and the zeta that solves this is used.

**Float32.** A score is off by at most u = (d+3) 2^-24 (c' d_a + beta top), both outputs of (K) by a
factor e^{2u}; output and cut are rounded. All is solved for rho (1 + room), room >= 5u + 2^-20.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, NoScale
from .interference import relative_interference, tight_scale
from .keys.base import GapSpectrum, KeySet
from .keys.hypercube import address_bits
from .margins import FLOAT32_SLACK

Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]

MOST_PAYLOAD_BITS = 8


def payload_levels(b: int) -> Float32:
    """The levels Y, rising: float32[2^b], (2g - 2^b + 1) / 2^{b-1}.

    >>> payload_levels(1).tolist(), payload_levels(2).tolist()
    ([-1.0, 1.0], [-1.5, -0.5, 0.5, 1.5])
    """
    if not 1 <= b <= MOST_PAYLOAD_BITS:
        raise BadInput(
            f"A payload must have 1 to {MOST_PAYLOAD_BITS} bits per coordinate, not {b}."
        )
    levels = (2 * np.arange(2**b) - 2**b + 1) / 2 ** (b - 1)
    return np.asarray(levels, dtype=np.float32)


def payload_cuts(b: int) -> Float32:
    """The cuts halfway between neighbouring levels: float32[2^b - 1]."""
    levels = payload_levels(b)
    return np.asarray((levels[1:] + levels[:-1]) / 2, dtype=np.float32)


def address_keys(n: int) -> KeySet:
    """The first n addresses, the bits of l as -1 and 1: float32[n, d_a], not normalised.

    >>> address_keys(16).rows[[0, 1, 10]].tolist()
    [[-1.0, -1.0, -1.0, -1.0], [1.0, -1.0, -1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]]
    """
    d_a = address_bits(n)
    rows = np.where((np.arange(n)[:, None] >> np.arange(d_a)) & 1, 1, -1).astype(np.float32)
    if n != 2**d_a:
        return KeySet("address", d_a, 0, rows)
    counts = [(Fraction(d_a - 2 * w), math.comb(d_a, w)) for w in range(d_a, 0, -1)]
    return KeySet("address", d_a, 0, rows, GapSpectrum(Fraction(d_a), tuple(counts)))


def least_reference(rho: float, odds: float) -> float:
    """rho zeta/(zeta - rho): V must exceed it; inf where zeta <= rho.

    >>> least_reference(3.0, 9.0), least_reference(3.0, 3.0)
    (4.5, inf)
    """
    return rho * odds / (odds - rho) if odds > rho else math.inf


def interference_limit(rho: float, odds: float, reference: float, b: int) -> float:
    """Sigma*, the root of (K'): payloads are read iff S'(c') zeta^{2L-3} is below; 0 where none is.

    >>> round(interference_limit(3.0, 9.0, 2.0**40, 1), 4)  # V large: 10 (1 - 3/9) / (3 - 9^-2)
    2.2314
    """
    if not reference > least_reference(rho, odds):
        return 0.0
    k = math.exp(-2 * (2**b - 1) * math.log(odds))
    G = (1 + odds) * (reference * (1 - rho / odds) - rho)
    B = rho * k * (1 + 1 / odds) + rho * (reference + odds) - reference * k
    # The root of the larger denominator, so that nothing cancels.
    return 2 * G / (B + math.sqrt(B * B + 4 * rho * k * G))


@dataclass(frozen=True)
class KeyQuestion:
    """The free numbers of the payload's questions.

    Attributes:
        scale: c', a float32 number.
        beta: the weight of the payload's coordinate, a float32 number.
        reference: V, a power of two.
    """

    scale: float
    beta: float
    reference: float

    @classmethod
    def build(cls, addresses: KeySet, b: int, eta: float, d: int) -> KeyQuestion:
        """The scale at which (K'') holds with room for float32 scores and outputs.

        Raises NoScale where float32 leaves no room.
        """
        room, exact, L = FLOAT32_SLACK, (1 + eta) / (1 - eta), 2**b
        top = float(payload_levels(b)[-1])
        while room < 0.5:
            rho = exact * (1 + room)
            beta = _above(math.log(_odds(rho, L, addresses.d)) * 2 ** (b - 1))
            odds = math.exp(beta * 2 ** (1 - b))
            V = 2.0 ** math.ceil(math.log2(32 * least_reference(rho, odds)))
            limit = interference_limit(rho, odds, V, b) * odds ** -(2 * L - 3)
            if limit < 1e-290:
                break
            scale = _above(tight_scale(addresses, min(limit, 1.0)))
            noise = (d + 3) * 2.0**-24 * (scale * addresses.d + beta * top)
            if 5 * noise + FLOAT32_SLACK <= room:
                return cls(scale, beta, V)
            room *= 2
        raise NoScale(
            f"Float32 scores are too coarse for {b} payload bits per coordinate at eta = "
            f"{eta:g}: use fewer bits or a smaller eta."
        )

    def thresholds(self, addresses: KeySet, b: int, eta: float) -> Floats:
        """Float64[N, 2^b - 1]: for every token and cut the geometric mean of the moved outputs."""
        t, top = payload_cuts(b).astype(np.float64), float(payload_levels(b)[-1])
        odds = math.exp(self.beta * 2 ** (1 - b))
        S = relative_interference(addresses, self.scale, np.arange(addresses.n))[:, None]
        least = np.exp(np.log(S) - self.beta * (top + t))
        most = np.exp(np.log(S) + self.beta * (top - t))
        below = (1 - eta) * self.reference / (1 + 1 / odds + most)
        above = (1 + eta) * (self.reference + odds + least) / (1 + odds + least)
        return np.asarray(np.sqrt(below * above))


def _odds(rho: float, L: int, d_a: int) -> float:
    """The zeta of the module docstring, near the least largest score."""
    w = 2 * (L - 2) + 2 * (L - 1) / d_a
    odds = rho * (1 + 1 / w)
    for _ in range(30):  # a contraction: the right side moves by less than w^-2 of the left
        odds = rho * (1 + 1 / (w + 1 / (1 + odds)))
    return odds


def _above(number: float) -> float:
    """The least float32 number not below."""
    near = np.float32(number)
    return float(near if near >= number else np.nextafter(near, np.float32(np.inf)))
