"""The exact margin conditions of the Index reduction: when does token i's bit stand out? (ours)

Bob appends the token (q, k, v) = (C k_i, 0, 0). Write a_i = C|k_i|^2 for token i's own score and
S_i = sum_{l != i} e^{C<k_l,k_i>}. His own token adds e^0 = 1, so the denominator D_i = e^{a_i} +
S_i + 1 is public, and coordinate j of the exact output is

    o_j = (x_ij e^{a_i} + sum_{l != i} x_lj e^{C<k_l,k_i>}) / D_i,    x the *values*.

As the other tokens range over all contents, the extreme exact outputs are

    values {0,1}:    x_ij = 0: at most S_i/D_i;               x_ij = 1: at least e^{a_i}/D_i
    values {-1,1}:   x_ij = -1: at most (S_i - e^{a_i})/D_i;  x_ij = 1: at least (e^{a_i} - S_i)/D_i

and both extremes are attained (context all 1, all 0; all +1, all -1). An algorithm may move the
output by a factor within 1 +- eta, or by at most gamma. So one threshold on o_j decodes x_ij
against every context and every allowed error **iff** the moved extremes do not meet:

    M01  {0,1},  (1 +- eta):  (1+eta) S_i < (1-eta) e^{a_i}      i.e.  e^{a_i} > rho S_i
    M+-  {-1,1}, (1 +- eta):  a factor in [1-eta, 1+eta], eta < 1, keeps the sign: e^{a_i} > S_i
    A01  {0,1},  gamma:       e^{a_i} - S_i > 2 gamma D_i
    A+-  {-1,1}, gamma:       e^{a_i} - S_i > gamma D_i

with rho = (1+eta)/(1-eta). Dividing by e^{a_i}, with S' = e^{-a_i} S_i, all four read

    demand_i := factor S'_i + zero_factor e^{-a_i} < 1                                           (1)

    M01: rho, 0     M+-: 1, 0     A01: (1+2 gamma)/(1-2 gamma), 2 gamma/(1-2 gamma)
    A+-: (1+gamma)/(1-gamma), gamma/(1-gamma)

No unit norms are assumed. The thresholds are the geometric mean of the two moved extremes for M01,
the arithmetic mean for A01, and 0 for signs.

A constant answer is within gamma = 1/2 of every output in [0,1], and within 1 of every output in
[-1,1], so at those tolerances nothing can be proved and the parameters are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, did_you_mean

Floats = NDArray[np.float64]

VALUES = ("01", "pm1")
#: relative room kept between the moved extremes for float32 outputs and thresholds (2^-24 each)
FLOAT32_SLACK = 2.0**-20


@dataclass(frozen=True)
class Condition:
    """One margin condition, in the form (1) of the module docstring.

    Attributes:
        name: "M01", "M+-", "A01" or "A+-".
        tolerance: eta for M, gamma for A.
        factor: what multiplies S'_i in the demand.
        zero_factor: what multiplies e^{-a_i}, the weight of Bob's own zero token.
    """

    name: str
    tolerance: float
    factor: float
    zero_factor: float

    @property
    def bound(self) -> float:
        """The condition as ``tight_scale`` takes it: S'_i + zero_token e^{-a_i} < bound."""
        return 1 / self.factor

    @property
    def zero_token(self) -> float:
        """The weight of Bob's own zero token in :attr:`bound`."""
        return self.zero_factor / self.factor

    @property
    def slack(self) -> float:
        """How far below 1 the demand must stay for float32 outputs and thresholds to be harmless.

        M01: the moved extremes are a factor 1/demand apart, so each is 2^-21 or more away from
        their geometric mean, relatively; rounding the output and the threshold costs 2^-23. A01:
        they are (1 - 2 gamma)(1 - demand)/(1 + S' + e^-a) apart, in absolute terms, which is why
        the share is divided by 1 - 2 gamma. Signs survive rounding.
        """
        return FLOAT32_SLACK / (1 - 2 * self.tolerance) if self.name == "A01" else FLOAT32_SLACK

    def demand(self, interference: Floats, own: Floats) -> Floats:
        """factor S'_i + zero_factor e^{-a_i}, from S'_i and own = a_i; separated iff below 1."""
        return np.asarray(self.factor * interference + self.zero_factor * np.exp(-own))

    def threshold(self, interference: Floats, own: Floats) -> Floats:
        """Where the output is cut, from S'_i and own = a_i; the bit is 1 iff output > threshold."""
        total = 1 + interference + np.exp(-own)
        if self.name == "M01":
            return np.asarray(np.sqrt((1 - self.tolerance**2) * interference) / total)
        if self.name == "A01":
            return np.asarray((1 + interference) / (2 * total))
        return np.zeros_like(total)

    def closed_scale(self, n: int, gap: float, norm2: float = 1.0, bound: float = 1.0) -> float:
        """A sufficient scale when every <k_l,k_i> <= |k_i|^2 - gap and |k_i|^2 >= norm2 > 0.

        S'_i <= (n-1) e^{-C gap} and e^{-a_i} <= e^{-C norm2}, so with g = min(gap, norm2) (g = gap
        where zero_factor = 0) the demand is at most (factor (n-1) + zero_factor) e^{-C g}. That is
        ``bound`` at the value returned, and less at every larger C.
        """
        g = min(gap, norm2) if self.zero_factor > 0 else gap
        return math.log((self.factor * (n - 1) + self.zero_factor) / bound) / g


def condition(values: str, eta: float | None, gamma: float | None) -> Condition:
    """The condition for an alphabet and a tolerance: exactly one of eta and gamma is not None.

    BadInput quotes the hypothesis that fails.

    >>> condition("01", 0.5, None).factor, condition("pm1", None, 0.5).name
    (3.0, 'A+-')
    """
    if values not in VALUES:
        raise BadInput(f"There is no value alphabet '{values}'.{did_you_mean(values, VALUES)}")
    if (eta is None) == (gamma is None):
        raise BadInput(
            "Give exactly one of eta (a factor within 1 +- eta, Theorem 8) and gamma (an additive "
            "error), and None for the other."
        )
    if eta is not None:
        if not 0 <= eta < 1:
            raise BadInput(
                "The theorem needs a (1 +- eta)-approximation with eta < 1 (eta = 0: exact), "
                f"not eta = {eta:g}: choose eta in [0, 1)."
            )
        return (
            Condition("M01", eta, (1 + eta) / (1 - eta), 0.0)
            if values == "01"
            else Condition("M+-", eta, 1.0, 0.0)
        )
    assert gamma is not None
    limit, constant = (0.5, "1/2") if values == "01" else (1.0, "0")
    if not 0 <= gamma < limit:
        raise BadInput(
            f"With values {values} the theorem needs gamma < {limit:g}, because the constant "
            f"answer {constant} is within {limit:g} of every output: choose gamma in [0, "
            f"{limit:g}), not {gamma:g}."
        )
    g = 2 * gamma if values == "01" else gamma
    if 1 - g < 8 * FLOAT32_SLACK:
        raise BadInput(
            f"gamma = {gamma!r} is too close to {limit:g} for float32 outputs: use a smaller gamma."
        )
    return Condition("A01" if values == "01" else "A+-", gamma, (1 + g) / (1 - g), g / (1 - g))


def closed_scale(
    n: int,
    mu: float,
    eta: float | None = None,
    *,
    values: str = "01",
    gamma: float | None = None,
) -> float:
    """Our closed form for unit keys of signed coherence mu < 1: sufficient for every larger C.

    ln(rho (n-1)) / (1 - mu) for M01, ln(n-1) / (1 - mu) for M+-; for A01 the logarithm is of
    [(n-1)(1+2 gamma) + 2 gamma] / (1 - 2 gamma), for A+- with gamma in place of 2 gamma, over
    1 - max(mu, 0). n counts data tokens. Raises BadInput unless mu < 1 and n >= 2.

    >>> round(closed_scale(4096, 1 / 8, 0.5), 2)
    10.76
    """
    if not mu < 1 or n < 2:
        raise BadInput(f"The closed scale needs coherence mu < 1 and n >= 2, not {mu:g} and {n}.")
    return condition(values, eta, gamma).closed_scale(n, 1 - mu)
