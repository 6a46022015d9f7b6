"""A stronger Bob: all answers together, solved as one linear system (ours).

Setting of ``margins``. Bob's n questions q_i = C k_i, one a token, make the matrix A with A_il =
e^{<q_i,k_l>}/D_i, D_i = sum_l e^{<q_i,k_l>} + 1 (his own zero token). For one coordinate, with the
bits x in {0,1}^n in it, the exact outputs are o = A x. So one answer is n weighted bits, and n
answers are n equations. A *linear decoder* R reads bit i as "(R o)_i > cut_i".

**Exact attention leaks everything at every temperature.** For distinct keys and any C > 0, E = D A
with entries e^{C<k_i,k_l>} is symmetric and positive definite: e^{C<k,l>} = e^{C|k|^2/2}
e^{C|l|^2/2} e^{-C|k-l|^2/2}, a Gaussian kernel between nonzero factors. So A^-1 o = x, though for a
small C no single answer tells a bit.

**What error a linear decoder survives, exactly.** Let r be row i of R, P = R A, T = |R| A.

    additive, |o'_l - o_l| <= gamma:   r o' - sum_m P_im x_m fills [-gamma |r|_1, gamma |r|_1], so

      bit 0: r o' <= sum_{m != i} max(P_im, 0) + gamma |r|_1                        =: high_i
      bit 1: r o' >= P_ii + sum_{m != i} min(P_im, 0) - gamma |r|_1                 =: low_i

    relative, o'_l in (1 +- eta) o_l:  the largest r o' is sum_l (r_l + eta |r_l|) o_l, so

      bit 0: r o' <= sum_{m != i} max(P_im + eta T_im, 0)                           =: high_i
      bit 1: r o' >= P_ii - eta T_ii + sum_{m != i} min(P_im - eta T_im, 0)         =: low_i

Both are attained, at the other bits for which the positive (negative) terms count and at errors of
the signs of r: so a cut reads bit i against everything allowed **iff high_i < low_i**. With R = I
the additive form is condition A01 of ``margins`` and the relative one M01; with **R = A^-1** (P =
I, |r|_1 the absolute row sums of A^-1 = E^-1 diag(D))

    gamma* = 1/2 / ||E^-1 diag(D)||_inf,        eta* = min_i 1/(2 sum_m T_im - T_ii).

gamma > 0 may be survived at scales where A01 fails for every token, since gamma* > 0 always.

**What it asks of an algorithm.** Bit i is read off *all* answers, so all n of them have to be
within the tolerance at once. That each is so with probability 9/10, index by index, which is what
Theorem 8 speaks of, is not enough, since one bad answer spoils many bits: exact attention that
answers 0 to a random 8 % of the questions loses .04 of the bits to single answers and about .2
here (n = 64, gamma = .01). A wrong bit therefore tells against "with probability 9/10 all n answers
are within the tolerance together", a null of its own. The ledger does not ask how a bit was read.

*Orthonormal keys*, n of them, a = e^C - 1: E = a I + J, J all ones; D = a + 1 + n; E^-1 = (I - J/(a
+ n))/a has absolute row sums (1 - 1/(a+n) + (n-1)/(a+n))/a = (a + 2n - 2)/(a (a+n)). So

    gamma* = a (a + n) / (2 (a + 2n - 2)(a + n + 1)),    about a/(4n) for a << n.                (O)

An algorithm whose n answers are all within gamma therefore holds all n d bits for n up to about
(e^C - 1)/(4 gamma), n <= d: the bound *grows* as 1/gamma.

**Ridge.** Outputs with independent errors of variance s^2, bits fair: the linear estimate of least
mean square error is 1/2 + R (o - A 1/2), R = A^T/4 (A A^T/4 + s^2 I)^-1, which is A^-1 at s = 0.

**Average case**, one answer a bit, exact attention, the other bits fair coins. D_i o_i - S_i/2 is
x_i e^{a_i} plus independent terms +-e^{s_l}/2; cut at e^{a_i}/2, on the output at (e^{a_i} +
S_i)/(2 D_i). With z_i = e^{a_i}/sqrt(sum_{l != i} e^{2 s_l}) a bit is wrong with probability about
Q(z) = Pr[N(0,1) > z] (central limit), and at most e^{-z^2/2} (Hoeffding). As z_i^-2 = S'_i(2C), the
scale for an error Q(z) is half of the scale at which S' < z^-2: C need only grow as half of ln n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, NoScale
from .index import IndexReduction, _check_sizes
from .interference import gap_blocks, relative_interference, separable_gap, tight_scale
from .keys.base import KeySet
from .margins import condition
from .scale import check_float32

Bits = NDArray[np.uint8]
Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]

#: inverting takes n^3 steps, and the tight scale some twenty inverses
MOST_TOKENS = 1024
#: a scale is found up to this relative step
_STEP = 2.0**-12
#: where the search for a scale gives up; float32 scores are too coarse long before
MOST_SCALE = 2.0**14
#: float64 solves a system of this condition to 1e-4 or so
_CONDITION = 1e12


def mixing_matrix(queries: ArrayLike, keys: ArrayLike) -> Floats:
    """A: row i has the weights e^{<q_i,k_l>}/(sum_l e^{<q_i,k_l>} + 1), float64[m, n].

    ``queries`` [m, d], query i after key i; ``keys`` [n, d].
    """
    q, k = (np.asarray(array, dtype=np.float64) for array in (queries, keys))
    own = np.arange(len(q))
    scores = np.einsum("id,id->i", q, k[: len(q)])
    weights = np.vstack([np.exp(gaps) for _, gaps in gap_blocks(q, own, k)])
    return np.asarray(weights / (weights.sum(axis=1) + np.exp(-scores))[:, None])


def linear_decoder(mixing: Floats, noise: float = 0.0) -> Floats:
    """R of the module docstring: A^-1, or the ridge for errors of standard deviation ``noise``.

    Float64[n, m] for A of shape [m, n]. NoScale where A cannot be inverted in float64.
    """
    if noise > 0:
        gram = mixing @ mixing.T / 4
        gram[np.diag_indices_from(gram)] += noise * noise
        return np.asarray(np.linalg.solve(gram, mixing / 4).T)
    try:
        inverse = np.linalg.inv(mixing)
    except np.linalg.LinAlgError:
        inverse = np.full_like(mixing, np.inf)
    size = np.abs(inverse).sum(axis=1).max() * np.abs(mixing).sum(axis=1).max()
    if not size < _CONDITION:
        raise NoScale(
            f"At this scale float64 cannot separate the answers (condition number {size:.1g}): "
            "use a larger scale or fewer keys."
        )
    return np.asarray(inverse)


def separation(
    decoder: Floats, mixing: Floats, *, eta: float | None = None, gamma: float | None = None
) -> tuple[Floats, Floats]:
    """(high, low), two float64[n]: bit i is read against everything allowed iff high_i < low_i.

    For values {0,1} and exactly one of ``eta`` and ``gamma``.

    >>> high, low = separation(np.eye(2), np.array([[0.6, 0.2], [0.2, 0.6]]), gamma=0.1)
    >>> high.round(3).tolist(), low.round(3).tolist()
    ([0.3, 0.3], [0.5, 0.5])
    """
    if (eta is None) == (gamma is None):
        raise BadInput("Give exactly one of eta (relative error) and gamma (additive error).")
    P = decoder @ mixing
    moved = (eta or 0.0) * (np.abs(decoder) @ mixing)
    reach = (gamma or 0.0) * np.abs(decoder).sum(axis=1)
    up, down = P + moved, P - moved
    low = np.diag(down) - reach + _others(np.minimum(down, 0))
    return np.asarray(_others(np.maximum(up, 0)) + reach), np.asarray(low)


def _others(array: Floats) -> Floats:
    return np.asarray(array.sum(axis=1) - np.diag(array))


def average_case_z(keys: KeySet, scale: float) -> Floats:
    """z_i = S'_i(2C)^{-1/2} of every key at scale C: float64[n]."""
    return np.asarray(1 / np.sqrt(relative_interference(keys, 2 * scale)))


def average_case_error(z: ArrayLike) -> Floats:
    """Q(z), the bit error of the average-case cut by the central limit theorem; arrays too.

    >>> round(float(average_case_error(1.6448536)), 4)
    0.05
    """
    from scipy.special import ndtr

    return np.asarray(ndtr(-np.asarray(z, dtype=np.float64)))


def average_case_scale(keys: KeySet, error: float) -> float:
    """The smallest C at which every key's Q(z_i) is below ``error``, at most Q(1) = .1586.

    Above Q(1) the normal approximation would rest on too few terms, and BadInput is raised.
    """
    if not 0 < error <= average_case_error(1.0):
        raise BadInput(f"An average-case error must lie in (0, 0.1586], not {error:g}.")
    z = NormalDist().inv_cdf(1 - error)
    return tight_scale(keys, min(1.0, z**-2)) / 2


class LinearBob(IndexReduction):
    """The Index reduction, read by A^-1. Make it with :meth:`build`.

    Stream, questions and secret are those of :class:`~.index.IndexReduction`, whose own condition
    may fail at this scale. Signs are read as bits: A x = (o + A 1)/2, with gamma/2. All bits are
    right where all n answers are within the tolerance; see the module for what that asks.
    """

    @classmethod
    def build(
        cls,
        keys: KeySet,
        d_v: int,
        *,
        values: str = "01",
        eta: float | None = None,
        gamma: float | None = None,
        scale: str | float = "tight",
    ) -> LinearBob:
        """Find a scale at which this Bob reads every bit against every allowed error.

        ``scale``: "tight", found by doubling, halving and bisection to a relative 2^-12 (should
        separation come and go with C: one of the scales where it comes), or a number.

        Raises BadInput for n < 16 or over 1024, d < 2, "pm1" with eta, or another scale; NoScale
        where no scale, or not the one given, will do.

        >>> from .keys import make
        >>> keys = make("jl", 64, 64)
        >>> one = IndexReduction.build(keys, 64, eta=None, gamma=0.01)
        >>> LinearBob.build(keys, 64, gamma=0.01).scale < one.scale / 2
        True
        """
        condition(values, eta, gamma)
        _check_sizes(keys, d_v)
        if values == "pm1" and eta is not None:
            raise BadInput(
                "The linear Bob adds answers, and a relative error of a signed answer near 0 "
                "does not bound the error of the sum: use values 01 with eta, or gamma."
            )
        if keys.n > MOST_TOKENS:
            raise BadInput(
                f"The linear Bob solves at most {MOST_TOKENS} equations, not n = {keys.n}: use "
                "fewer tokens."
            )
        separable_gap(keys)

        def at(C: float) -> LinearBob:
            return cls(keys, d_v, values, eta, gamma, C)

        if scale == "tight":
            return at(_least(lambda C: at(C).separated))
        if isinstance(scale, str) or not 0 < scale < math.inf:
            raise BadInput(
                f"The linear Bob's scale must be 'tight' or a positive number, not {scale}."
            )
        check_float32(keys, scale)
        if not at(scale).separated:
            raise NoScale(
                f"At scale {scale:.6g} some allowed error makes the linear Bob read a wrong "
                "bit: use a larger scale, or scale='tight'."
            )
        return at(scale)

    @cached_property
    def mixing(self) -> Floats:
        """A of the float32 questions that are sent, float64[n, n]."""
        return mixing_matrix(self.queries()[0], self.keys.rows)

    @cached_property
    def decoder(self) -> Floats:
        """A^-1, float64[n, n]; NoScale where float64 cannot tell."""
        return linear_decoder(self.mixing)

    @cached_property
    def bounds(self) -> tuple[Floats, Floats]:
        """:func:`separation` with what float32 scores and outputs add to the tolerance.

        A score is off by at most u = (d + 3) 2^-24 C |k|^2, a weight by a factor e^{2u} over the
        others, an output by as much, and its rounding by 2^-22.
        """
        norm2 = float(np.square(self.keys.rows, dtype=np.float64).sum(axis=1).max())
        rounding = math.expm1(2 * (self.d_k + 3) * 2.0**-24 * self.scale * norm2) + 2.0**-22
        if self.eta is not None:
            eta = self.eta + (1 + self.eta) * rounding
            return separation(self.decoder, self.mixing, eta=eta)
        assert self.gamma is not None
        gamma = self.gamma / 2 if self.values == "pm1" else self.gamma
        return separation(self.decoder, self.mixing, gamma=gamma + rounding)

    @property
    def separated(self) -> bool:
        """Whether every bit is read against every allowed error."""
        try:
            high, low = self.bounds
        except NoScale:
            return False
        return bool((high < low).all())

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m]: where the *estimates* are cut, halfway between ``bounds``."""
        high, low = self.bounds
        return np.asarray((high + low)[self._at(rows)] / 2, dtype=np.float32)

    def estimates(self, outputs: ArrayLike) -> Floats:
        """A^-1 o for outputs [n, d_v] of all rows: float64[n, d_v], the bits and their errors."""
        answers = np.asarray(outputs, dtype=np.float64)
        if answers.shape[:1] != (self.n,):
            raise BadInput(
                f"The linear Bob solves for all {self.n} rows at once, but got answers of "
                f"shape {answers.shape}: ask for all rows (leave --rows out)."
            )
        if self.values == "pm1":
            answers = (answers + self.mixing.sum(axis=1)[:, None]) / 2
        return np.asarray(self.decoder @ answers)

    def scores(self, outputs: ArrayLike) -> Floats:
        """How sure he is: float64[n, d_v], each estimate's distance from its cut in half bits.

        Above 0 it is read as 1. A nan or infinity is taken for 0 before the system is solved.
        """
        answers = np.asarray(outputs, dtype=np.float64)
        found = self.estimates(np.where(np.isfinite(answers), answers, 0.0))
        return np.asarray(2 * (found - self.thresholds()[:, None]))

    def decode(self, outputs: ArrayLike, rows: ArrayLike | None = None) -> Bits:
        """Outputs [n, d_v] of all rows, in order -> uint8[n, d_v].

        A nan or infinity is taken for 0 before the system is solved. BadInput for fewer rows.
        """
        if rows is not None and not np.array_equal(self._at(rows), np.arange(self.n)):
            raise BadInput("The linear Bob needs all rows, in order: leave --rows out.")
        return (self.scores(outputs) > 0).astype(np.uint8)


def _least(holds: Callable[[float], bool]) -> float:
    """A scale at which ``holds`` and a relative 2^-12 below which it does not."""
    low = high = 1.0
    if holds(high):
        while holds(low := low / 2):
            high = low
            if low < 2.0**-40:
                return low
    else:
        while not holds(high := high * 2):
            low = high
            if high > MOST_SCALE:
                raise NoScale(
                    "At no scale can the linear Bob read every bit under the allowed error: "
                    "use fewer keys, a larger d or a smaller error."
                )
    while high / low > 1 + _STEP:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
