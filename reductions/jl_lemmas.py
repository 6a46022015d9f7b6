"""Johnson-Lindenstrauss with its constants: tails, union bounds, and the tokens they certify.

f(x) = A x / sqrt(d), A with d rows of independent N(0,1) entries (Lemma 3 / 22, Theorem 20,
Lemma 21). The formulas (22), (23), (32) are the paper's, *reconstructed* from its prose:

    Theorem 20   Pr[ |f(x)|^2 outside (1 -+ eps)|x|^2 ]  <= 2 exp(-(eps^2 - eps^3) d / 4)
    Lemma 21     Pr[ |<f(u),f(v)> - <u,v>| > eps ]       <= 4 exp(-(eps^2 - eps^3) d / 4),
                 |u|, |v| <= 1
    Lemma 3      d >= 12 ln n / (eps^2 - eps^3): all inner products of n points are kept to eps
                 (norms too), with probability at least 1 - 1/n.

*Where the bounds come from.* d |f(x)|^2 / |x|^2 is chi-square with d degrees of freedom. Chernoff:
each tail is at most ((1 +- eps) e^{-+eps})^{d/2}, and for 0 < e < 1 ln(1+e) - e <= -e^2/2 + e^3/3
and ln(1-e) + e <= -e^2/2, both at most -(e^2 - e^3)/2.
Lemma 21 is the polarisation <f(u),f(v)> = (|f(u+v)|^2 - |f(u-v)|^2) / 4: where none of the four
tails of |f(u+v)|^2 and |f(u-v)|^2 is met, the deviation is at most eps (|u|^2 + |v|^2)/2 <= eps.

*The exact laws* (ours). A unit x: the chi-square tails themselves. Unit u, v with <u,v> = c:
f(u+v) and f(u-v) are independent, as u+v and u-v are orthogonal, so with independent chi-squares
Y, Y' of d degrees d <f(u),f(v)> = (1+c)/2 Y - (1-c)/2 Y'. Given |f(u)|^2 it is Gaussian, which is
how ``product_tail`` computes it.

*The constant of the union bound* (ours). n points have n norms with two tails each and n(n-1)/2
pairs with four: 2n + 2n(n-1) = 2 n^2 tails. At d = (12 ln n + b)/(eps^2 - eps^3) each is at most
exp(-3 ln n - b/4), so the sum is 2 e^{-b/4} / n: 2/n for the lemma's b = 0, and 1/n for b = 4 ln 2.
The paper needs existence only, for which any failure probability below 1 will do.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import BadInput
from .paper import jl_dimension

#: points of the trapezoidal rule for an orthogonal pair, and its half width in deviations
_NODES, _WIDTH = 4000, 40.0


def _check(eps: float, d: int) -> None:
    if not 0 < eps < 1 or d < 1:
        raise BadInput(
            f"The lemmas need 0 < eps < 1 and d >= 1, not eps = {eps:g} and d = {d}: choose "
            "other values."
        )


def one_tail(eps: float, d: float) -> float:
    """exp(-(eps^2 - eps^3) d / 4), what one tail of a squared norm is at most (reconstructed).

    >>> round(one_tail(0.5, 64), 6) == round(math.exp(-2), 6)
    True
    """
    return math.exp(-(eps**2 - eps**3) * d / 4)


def norm_bound(eps: float, d: int) -> float:
    """Theorem 20 (22), reconstructed: 2 exp(-(eps^2 - eps^3) d / 4). May exceed 1."""
    _check(eps, d)
    return 2 * one_tail(eps, d)


def product_bound(eps: float, d: int) -> float:
    """Lemma 21 (23), reconstructed: 4 exp(-(eps^2 - eps^3) d / 4). May exceed 1."""
    _check(eps, d)
    return 4 * one_tail(eps, d)


def norm_tail(eps: float, d: int) -> float:
    """Pr[ |f(x)|^2 outside (1 -+ eps)|x|^2 ], exactly: the two chi-square tails (ours).

    >>> round(norm_tail(0.5, 2), 9) == round(1 - math.exp(-0.5) + math.exp(-1.5), 9)
    True
    """
    from scipy.special import gammainc, gammaincc

    _check(eps, d)
    return float(gammainc(d / 2, (1 - eps) * d / 2) + gammaincc(d / 2, (1 + eps) * d / 2))


def product_tail(eps: float, d: int, c: float = 0.0) -> float:
    """Pr[ |<f(u),f(v)> - c| > eps ] for unit u, v with <u,v> = c, -1 <= c <= 1, exactly (ours).

    f(v) = c f(u) + s g with s^2 = 1 - c^2 and g independent of f(u). So given d |f(u)|^2 = y, the
    product is Gaussian with mean c y/d and deviation s sqrt(y)/d; its tails are averaged over
    chi-square y = d e^t by the trapezoidal rule in t. For an integrand that is analytic and falls
    off at both ends its error falls faster than any power of the step, which is taken in proportion
    to s. c = 1 and c = -1 are ``norm_tail``. Relative error below 1e-9, while s > 1e-3.

    >>> product_tail(0.5, 64, 1.0) == norm_tail(0.5, 64)
    True
    >>> abs(product_tail(0.5, 2) - math.exp(-1)) < 1e-12  # half the difference of two exponentials
    True
    """
    from scipy.special import gammaln, ndtr

    _check(eps, d)
    if not -1 <= c <= 1:
        raise BadInput(f"The inner product of two unit vectors must lie in [-1, 1], not {c:g}.")
    if abs(c) == 1:
        return norm_tail(eps, d)
    s, half = math.sqrt(1 - c * c), _WIDTH * math.sqrt(2 / d)
    t = np.linspace(-half, half, int(_NODES / max(s, 1e-3)))
    y = d * np.exp(t)
    shift, spread = c * (y - d), s * np.sqrt(y)
    outside = ndtr((shift - eps * d) / spread) + ndtr((-shift - eps * d) / spread)
    density = np.exp(d / 2 * np.log(y / 2) - y / 2 - gammaln(d / 2))  # of t = ln(y/d)
    return float((outside * density).sum() * (t[1] - t[0]))


def dimension(n: int, eps: float, extra: float = 0.0) -> float:
    """(12 ln n + extra) / (eps^2 - eps^3), a real number to round up; extra = 0 is Lemma 3's.

    Raises BadInput as ``paper.jl_dimension`` does, unless n >= 1 and 0 < eps < 1.

    >>> math.ceil(dimension(512, 0.5)), math.ceil(dimension(512, 0.5, 4 * math.log(2)))
    (599, 622)
    """
    return jl_dimension(n, eps) + extra / (eps**2 - eps**3)


def tails(n: int) -> int:
    """How many one-sided tails the union bound adds up: 2 for each norm, 4 for each pair.

    >>> tails(10)
    200
    """
    return 2 * n + 4 * math.comb(n, 2)


def union_failure(n: int, eps: float, d: float) -> float:
    """The union bound on the failure of Lemma 3 at dimension d: ``tails(n)`` times ``one_tail``.

    >>> round(512 * union_failure(512, 0.25, dimension(512, 0.25)), 9)
    2.0
    """
    return tails(n) * one_tail(eps, d)


def certified_points(d: int, eps: float = 0.5) -> float:
    """The real n with 12 ln n / (eps^2 - eps^3) = d: exp(d (eps^2 - eps^3) / 12).

    eps^2 - eps^3 grows up to eps = 2/3, so eps -> 1/2, where the paper's margin argument ends, is
    the best case: exp(d / 96). Reconstructed constants.

    >>> [round(certified_points(d), 2) for d in (64, 128)]
    [1.95, 3.79]
    """
    if d < 1 or not 0 < eps <= 0.5:
        raise BadInput(
            "The paper's margin needs eps < 1/2 (eps = 1/2 stands for the limit) and d >= 1, "
            f"not eps = {eps:g} and d = {d}: choose other values."
        )
    return math.exp(d * (eps**2 - eps**3) / 12)


def existing_points(d: int, eps: float = 0.5, *, exact: bool) -> int:
    """The most keys that *exist* at this d by a union bound, all |<k_i,k_j> - delta_ij| <= eps.

    The largest n with n p + n(n-1)/2 r < 1, p and r the bounds for a norm and for an orthonormal
    pair: the lemmas' stated ones, or with ``exact`` their exact tails (ours). Existence is all that
    the paper's theorem uses.

    >>> existing_points(64, exact=False), existing_points(64, exact=True)
    (1, 86)
    """
    p, r = (
        (norm_tail(eps, d), product_tail(eps, d))
        if exact
        else (norm_bound(eps, d), product_bound(eps, d))
    )
    if r == 0:
        raise BadInput(f"At d = {d} the tails are too small for float64: use a smaller d.")
    b = p - r / 2  # the root of r/2 n^2 + b n = 1, written without cancellation
    return math.ceil(2 / (b + math.sqrt(b * b + 2 * r))) - 1
