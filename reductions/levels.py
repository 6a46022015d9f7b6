"""Values with more than two levels: when does one output tell all of them apart? (ours)

Setting and notation of ``margins``: Bob appends (C k_i, 0, 0), token i's own score is a_i, S'_i the
others' weights over token i's, and 1 + S'_i + e^{-a_i} =: T_i is the denominator over e^{a_i}.
Values are levels L_0 < .. < L_{B-1}. Where v_ij = L_b, the exact output times T_i is L_b + sum_l
v_lj w_l with sum_l w_l = S'_i; over all contexts it fills

    [L_b + L_0 S'_i,  L_b + L_{B-1} S'_i],   both ends attained (all others lowest, all highest).

An algorithm may move the output by a factor within 1 +- eta (L_0 >= 0) or by at most gamma. Ends of
allowed intervals rise with the output, so B - 1 cuts between neighbouring levels read v_ij against
every context and every allowed error **iff** for each b < B - 1 the moved ends do not meet:

    M:  (1+eta) (L_b + L_{B-1} S'_i) < (1-eta) (L_{b+1} + L_0 S'_i)
    A:  L_b + L_{B-1} S'_i + gamma T_i < L_{b+1} + L_0 S'_i - gamma T_i

and all of them hold iff, with the least step g = min_b,

    M:  S'_i < g / ((1+eta) L_{B-1} - (1-eta) L_0),        g = min_b ((1-eta) L_{b+1} - (1+eta) L_b)
    A:  (W + 2 gamma) S'_i + 2 gamma e^{-a_i} < g,         g = min_b (L_{b+1} - L_b) - 2 gamma,

W = L_{B-1} - L_0. Both are a demand below 1 in the form (1) of ``margins``; levels (0, 1) give M01
and A01 again, levels (-1, 1) A+-. Cuts are the geometric (M) or arithmetic (A) means of the moved
ends. Two alphabets are made here:

* **geometric** under eta, L_b = vmin beta^b: g is at b = 0, vmin cancels, and the condition is

      S'_i < ((1-eta) beta - (1+eta)) / ((1+eta) beta^{B-1} - (1-eta)),   beta > rho.          (C1)

  The right side is largest where (B-2) beta^{B-1} = (B-1) rho beta^{B-2} - 1/rho; without the last
  term that is beta = rho (B-1)/(B-2), which is used (2 rho for B = 2). vmin centres the levels on
  1, for the sake of fp16.
* **grid** under gamma, L_b = b/(B-1):

      1/(B-1) > S'_i + 2 gamma T_i.                                                            (C2)

**The precision law.** How many levels can be told apart at all (S'_i, e^{-a_i} -> 0 as C grows)?

    positive values within a factor V, error 1 +- eta:  B < 1 + ln V/ln rho: B = ceil(ln V/ln rho)
    values in [0, 1], additive error gamma:             B < 1 + 1/(2 gamma): B = ceil(1/(2 gamma))

and no alphabet does better, since neighbours must be a factor above rho, or more than 2 gamma,
apart. It is a law for memory too, not only for this decoder: cut [vmin, V vmin] into ceil(ln V/ln
rho) cells [a, rho a] and keep for each value its cell's number, that is (1+eta) a = (1-eta) rho a,
which is within 1 +- eta of all of the cell; or [0,1] into ceil(1/(2 gamma)) cells of width 2 gamma,
each kept as its middle. Averages with positive weights inherit either guarantee. So with public
keys, N values need and suffice with N log2 B bits (up to rounding N log2 B to a whole number).

*Caveat.* At constant eta a number carries log2(ln V/ln rho) bits only: the logarithm of a logarithm
of the range, and C must grow by ln V for it. At V = 2^16, eta = 1/2 that is 3.46 bits. Additive
errors give log2(1/(2 gamma)). Secrets in the *keys* do not have this limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, NoScale
from .margins import FLOAT32_SLACK, Condition

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]

#: the levels are geometric within 2^-120 .. 2^120, where float32 is normal
MOST_RATIO = 2.0**240
#: a demand is never asked to stay further than this below 1
_MOST_SLACK = 2.0**-4


@dataclass(frozen=True)
class LevelCondition(Condition):
    """The margin condition of an alphabet, M or A of the module docstring.

    Attributes:
        levels: L_0 < .. < L_{B-1}, the numbers that are sent.
        least: the least step g.
    """

    levels: tuple[float, ...]
    least: float

    @property
    def slack(self) -> float:
        """How far below 1 the demand must stay for float32 outputs and cuts to be harmless.

        A: the moved ends are g (1 - demand)/T_i apart, and outputs are at most max|L|. M: at b they
        are (1 - demand) g_b or more apart, over an end of at most (1+eta)(L_b + L_{B-1} bound). In
        both cases 2^-20 of the output must be left.
        """
        levels, t = np.array(self.levels), self.tolerance
        if self.name == "A-levels":
            return FLOAT32_SLACK * float(np.abs(levels).max()) / self.least
        steps = (1 - t) * levels[1:] - (1 + t) * levels[:-1]
        ends = (1 + t) * (levels[:-1] + levels[-1] * self.bound)
        return FLOAT32_SLACK / min(1.0, float((steps / ends).min()))

    def threshold(self, interference: Floats, own: Floats) -> Floats:
        """Float64[m, B-1]: the cuts for S'_i and own = a_i; level b or more iff output > cut b."""
        levels = np.array(self.levels)
        total = (1 + interference + np.exp(-own))[:, None]
        low = levels[:-1] + levels[-1] * interference[:, None]
        high = levels[1:] + levels[0] * interference[:, None]
        if self.name == "A-levels":
            return np.asarray((low + high) / (2 * total))
        # Not the root of the product, which leaves float64's range before the factors do.
        return np.asarray(math.sqrt(1 - self.tolerance**2) * np.sqrt(low) * np.sqrt(high) / total)


def level_condition(
    levels: Sequence[float], eta: float | None, gamma: float | None
) -> LevelCondition:
    """The condition for any rising levels and a tolerance: exactly one of eta and gamma.

    BadInput quotes what fails: the tolerance's range, levels that do not rise, a negative level
    with eta, neighbours that the tolerance lets meet.

    >>> level_condition((0.0, 1.0), 0.5, None).bound == 1 / 3  # M01
    True
    >>> rule = level_condition((0, 1, 2, 3), None, 0.25)
    >>> rule.bound, rule.zero_token  # 3.5 S' + .5 e^-a < .5
    (0.14285714285714285, 0.14285714285714285)
    """
    if (eta is None) == (gamma is None):
        raise BadInput("Give exactly one of eta (a factor within 1 +- eta) and gamma (additive).")
    sent = tuple(float(level) for level in levels)
    steps = np.diff(np.array(sent))
    if len(sent) < 2 or not np.isfinite(sent).all() or not (steps > 0).all():
        raise BadInput(
            f"Levels must be two or more finite numbers in increasing order, not {_few(sent)}."
        )
    if eta is not None:
        if not 0 <= eta < 1:
            raise BadInput(f"A (1 +- eta)-approximation needs eta in [0, 1), not {eta:g}.")
        if sent[0] < 0:
            raise BadInput(
                f"Levels under a relative error must not be negative, as {sent[0]:g} is: give "
                "gamma instead of eta."
            )
        apart = [(1 - eta) * high - (1 + eta) * low for low, high in _pairs(sent)]
        across = (1 + eta) * sent[-1] - (1 - eta) * sent[0]
        wanted = f"a factor above (1+eta)/(1-eta) = {(1 + eta) / (1 - eta):.6g}"
    else:
        assert gamma is not None
        if not 0 <= gamma < math.inf:
            raise BadInput(f"An additive error must be a number gamma >= 0, not {gamma:g}.")
        apart = [high - low - 2 * gamma for low, high in _pairs(sent)]
        across = sent[-1] - sent[0] + 2 * gamma
        wanted = f"more than 2 gamma = {2 * gamma:.6g}"
    worst = min(range(len(apart)), key=apart.__getitem__)
    least = apart[worst]
    if least > 0:
        zero = 0.0 if gamma is None else 2 * gamma / least
        name, tolerance = ("M-levels", eta) if gamma is None else ("A-levels", gamma)
        assert tolerance is not None
        rule = LevelCondition(name, tolerance, across / least, zero, sent, least)
        if rule.slack <= _MOST_SLACK:
            return rule
        wanted += " with room for float32"
    raise BadInput(
        f"Levels {worst} and {worst + 1} of {len(sent)}, {sent[worst]:.6g} and "
        f"{sent[worst + 1]:.6g}, overlap under the allowed error: neighbours must be {wanted} "
        "apart; use fewer levels or a smaller error."
    )


def _pairs(sent: tuple[float, ...]) -> list[tuple[float, float]]:
    return list(pairwise(sent))


def _few(sent: tuple[float, ...]) -> str:
    shown = ", ".join(f"{level:g}" for level in sent[:5])
    return f"({shown}{', ..' if len(sent) > 5 else ''})"


def geometric_ratio(count: int, eta: float) -> float:
    """beta = rho (B-1)/(B-2), or 2 rho for B = 2: near the ratio with the smallest scale.

    >>> round(geometric_ratio(16, 0.5), 6) == round(3 * 15 / 14, 6)
    True
    """
    if not 0 <= eta < 1 or count < 2:
        raise BadInput(f"Geometric levels need B >= 2 and eta in [0, 1), not {count} and {eta:g}.")
    rho = (1 + eta) / (1 - eta)
    return rho * (count - 1) / (count - 2) if count > 2 else 2 * rho


def geometric_levels(count: int, eta: float, ratio: float | None = None) -> Float32:
    """Float32[B]: ratio^(b - (B-1)/2), the levels for a relative error; (C1).

    ``ratio`` None is :func:`geometric_ratio`. NoScale where float32 cannot hold their range;
    fp16 holds them, at its full precision, where ratio^(B-1) <= 2^28.
    """
    beta = geometric_ratio(count, eta) if ratio is None else ratio
    octaves = (count - 1) * math.log2(beta) if beta > 1 else 0.0
    if octaves > math.log2(MOST_RATIO):
        raise NoScale(
            f"{count} levels that a factor within 1 +- {eta:g} keeps apart span a factor of "
            f"2^{octaves:.0f}, but float32 only allows 2^{math.log2(MOST_RATIO):.0f}: use "
            "fewer levels, a smaller eta, or an additive error gamma."
        )
    exponents = math.log(beta) * (np.arange(count) - (count - 1) / 2)
    levels: Float32 = np.exp(exponents).astype(np.float32)
    return levels


def grid_levels(count: int) -> Float32:
    """Float32[B]: b/(B-1), the levels for an additive error; (C2).

    >>> grid_levels(5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if count < 2:
        raise BadInput(f"A grid must have B >= 2 levels, not {count}.")
    levels: Float32 = (np.arange(count) / (count - 1)).astype(np.float32)
    return levels


def most_grid_levels(gamma: float | Fraction) -> int:
    """The precision law for [0,1]: ceil(1/(2 gamma)) levels survive an additive error gamma.

    >>> most_grid_levels(0.01), most_grid_levels(0.001), most_grid_levels(Fraction(1, 6))
    (50, 500, 3)
    """
    if not 0 < gamma < math.inf:
        raise BadInput(
            f"The precision law needs a finite gamma > 0, not {gamma}: with exact "
            "answers there is no limit."
        )
    return math.ceil(1 / (2 * Fraction(gamma)))


def most_geometric_levels(ratio: float | Fraction, eta: float | Fraction) -> int:
    """The precision law for values within a factor V = ``ratio``: max(1, ceil(ln V/ln rho)) levels.

    Exact for the numbers given: near a whole quotient rho^m is compared with V in fractions.

    >>> [most_geometric_levels(2**16, eta) for eta in (0.5, 0.1, 0.01)]
    [11, 56, 555]
    >>> most_geometric_levels(9, 0.5)
    2
    """
    if not 0 < eta < 1 or not 1 <= ratio < math.inf:
        raise BadInput(
            f"The precision law needs eta in (0, 1) and a finite ratio V >= 1, not {eta} and "
            f"{ratio}: with exact answers there is no limit."
        )
    e = Fraction(eta)
    quotient = math.log(ratio) / (2 * math.atanh(float(eta)))
    whole = round(quotient)
    if abs(quotient - whole) <= 1e-9 * max(1.0, quotient):
        met = ((1 + e) / (1 - e)) ** whole >= Fraction(ratio)
        return max(1, whole if met else whole + 1)
    return math.ceil(quotient)
