"""Few dimensions: how many bits the Index reduction certifies under a budget for the query's norm.

In d = o(log n) dimensions near-orthogonal keys run out, which is why Theorem 1 says min{n, e^d} and
Corollary 9 (reconstructed) hides only n' = e^{Theta(d)} tokens. But the margin condition

    rho S'_i < 1,   S'_i = sum_{l != i} e^{-R (1 - <k_l,k_i>)},   unit keys, C = R             (M01)

asks for different keys only, and for a large R = |q| max|k|, in nats. So the trade is between the
number of tokens N and R; the cap e^d is a budget R = Theta(d) in other words (ours). Condition M01
of ``margins``, values {0,1}, relative error eta, rho = (1+eta)/(1-eta); every N here comes with
N d certified bits. Real keys and real arithmetic; float32 is ``scale``'s business.

Upper limit on what (M01) can certify (ours; a limit of this one-query decoder, not of memory). Each
single term of S' is below 1/rho, so 1 - <k_l,k_i> > ln(rho)/R =: 1 - cos(theta): the caps of
angular radius theta/2 around the keys are disjoint: N <= 1 / (the share of the sphere in one cap).
That share is of the order theta^(d-1), theta^2 ~ 2 ln(rho)/R: N = O((R/ln rho)^((d-1)/2)). A
packing with the least angle theta has N within a constant factor (of d) of this at a slightly
smaller R, because only boundedly many keys are near: N = Theta((R/ln rho)^((d-1)/2)).

The truth up to a constant, for every d and R at once (ours). Let m = E e^{R(u-1)}, u = <x,y> for x,
y independent and uniform on the sphere. The largest N satisfies

    1/(4 rho m) <= N < (1 + 1/rho) / m.                          (2)

Upper: e^{R<x,y>} is a sum of powers of <x,y> with positive coefficients, so a positive definite
kernel, invariant under rotations: its mean over pairs of any distribution on the sphere is at least
that of the uniform one (the mean over all rotations of a distribution is the uniform one, and
mu -> mean of the kernel is convex). For the N keys, pairs of a key with itself among them, it is
(1/N^2) sum_i (1 + S'_i) e^R < (1 + 1/rho) e^R / N. Lower: of M = 1 + floor(1/(2 rho m)) uniform
keys the mean of each S'_i is (M-1) m <= 1/(2 rho), so by Markov's inequality half of them at least
have S'_i < 1/rho, in the mean and so in some draw; dropping the others lowers S'. So within a
factor 4 (1 + rho) N d = d / E e^{R(u-1)}: about d (2 pi R)^{1/2} for d = 2, and e^{(g + o(1)) d} at
R = Theta(d) (:func:`random_rate`), which is the e^d of Theorem 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .interference import query_interference
from .keys.circle import sphere_points
from .keys.hypercube import full_family_scale
from .margins import condition

Floats = NDArray[np.float64]


def _rho(eta: float) -> float:
    return condition("01", eta, None).factor


def _check_budget(R: float) -> None:
    if not 0 < R < math.inf:
        raise BadInput(f"A budget R = |q| max|k| must be a positive number of nats, not {R:g}.")


def largest_certified(interference: Callable[[int], float], eta: float) -> int:
    """An n with rho * interference(n) < 1 that fails at n + 1: *the* largest if it is monotone.

    n is doubled while certified, then bisected. One key is always certified (nothing disturbs it).

    >>> largest_certified(lambda n: (n - 1) / 100, 0.5)  # rho = 3: (n-1) < 33.3
    34
    """
    rho, low, high = _rho(eta), 1, 2
    while rho * interference(high) < 1:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if rho * interference(middle) < 1:
            low = middle
        else:
            high = middle
    return low


def circle_interference(n: int, R: float) -> float:
    """S' of n equally spaced points of the circle: sum_{l=1}^{n-1} e^{-R (1 - cos(2 pi l / n))}.

    Increasing in n: with one point more, the l-th neighbour on either side is nearer for every l <
    n/2; for even n the opposite point at distance pi becomes a pair, both nearer than pi.

    >>> round(circle_interference(4, 1.0), 6) == round(2 * math.exp(-1) + math.exp(-2), 6)
    True
    """
    angle = 2 * np.pi * np.arange(1, n) / n
    return float(np.exp(-R * (1 - np.cos(angle))).sum())


def circle_tokens(R: float, eta: float = 0.5) -> int:
    """The largest n for which n points of a circle are certified at budget R (d = 2).

    >>> [circle_tokens(R) for R in (5, 20, 100, 1000)]
    [7, 14, 33, 104]
    """
    _check_budget(R)
    return largest_certified(lambda n: circle_interference(n, R), eta)


def circle_estimate(R: float, eta: float = 0.5) -> float:
    """Pi sqrt(2R / ln(2 rho)), about :func:`circle_tokens` (ours).

    The two neighbours at angle a = 2 pi/n weigh 2 e^{-R(1 - cos a)} ~ 2 e^{-2 pi^2 R/n^2}, and the
    next two only the fourth power of one of them. Put 2 e^{-2 pi^2 R/n^2} = 1/rho.
    """
    _check_budget(R)
    return math.pi * math.sqrt(2 * R / math.log(2 * _rho(eta)))


def circle_factor(eta: float = 0.5) -> float:
    """What :func:`circle_estimate` is to be multiplied with as R grows (ours; Theorem K).

    sqrt(ln(2 rho) / ln(1/x)), x the root of x + x^4 + x^9 + .. = 1/(2 rho): all neighbours.

    >>> round(circle_factor(0.5), 5), round(circle_factor(0.0), 3)
    (0.99873, 0.939)
    """
    from scipy.optimize import brentq

    rho = _rho(eta)
    powers = np.arange(1, 40) ** 2
    x = brentq(lambda y: float((y**powers).sum()) - 1 / (2 * rho), 0.0, 0.99, xtol=1e-15)
    return math.sqrt(math.log(2 * rho) / math.log(1 / x))


def sphere_interference(n: int, R: float) -> float:
    """max_i S'_i of the n Fibonacci points on the sphere in R^3."""
    points = sphere_points(n)
    return float(query_interference(R * points, np.arange(n), points).max())


def sphere_tokens(R: float, eta: float = 0.5) -> int:
    """Fibonacci points on the sphere certified at budget R (d = 3): by bisection.

    Certified it is; that no larger n would be is not claimed, because the family is not nested.
    """
    _check_budget(R)
    return largest_certified(lambda n: sphere_interference(n, R), eta)


def packing_limit(d: int, R: float, eta: float = 0.5) -> float:
    """No more keys than this satisfy M01 in dimension d at budget R (ours, module docstring).

    A cap of angular radius a <= pi/2 is a share I_{sin^2 a}((d-1)/2, 1/2) / 2 of the sphere, I the
    regularised incomplete beta function. Needs eta > 0: at rho = 1 a term may come up to 1.
    Where ln(rho) >= 2R not even opposite keys are certified: 1.

    >>> packing_limit(2, 1000.0) > circle_tokens(1000.0)
    True
    """
    from scipy.special import betainc

    _check_budget(R)
    rho = _rho(eta)
    if d < 2 or rho == 1:
        raise BadInput(f"The packing limit needs d >= 2 and eta > 0, not d = {d}, eta = {eta:g}.")
    cosine = 1 - math.log(rho) / R
    if cosine <= -1:
        return 1.0
    square = (1 - cosine) / 2  # sin^2 of half the angle
    return 2 / float(betainc((d - 1) / 2, 0.5, square))


def log_mean_weight(d: int, R: float) -> float:
    """ln E e^{R(u-1)}, u the inner product of two independent uniform points of the sphere in R^d.

    The density of u is proportional to (1-u^2)^{(d-3)/2}, so E e^{Ru} = Gamma(d/2) (2/R)^{d/2-1}
    I_{d/2-1}(R), I the modified Bessel function; for d = 1 that is cosh R.

    >>> round(math.exp(log_mean_weight(3, 5.0)), 12) == round(math.sinh(5) / 5 / math.exp(5), 12)
    True
    """
    from scipy.special import gammaln, ive

    _check_budget(R)
    if d < 1:
        raise BadInput(f"A sphere needs one dimension or more, not {d}.")
    order = d / 2 - 1
    # SciPy's I has no value from 2^30 on; there its first term is right to (4 order^2 - 1)/(8 R).
    bessel = math.log(ive(order, R)) if R < 2**29 else -math.log(2 * math.pi * R) / 2
    return float(gammaln(d / 2) + order * math.log(2 / R) + bessel)


def most_certified(d: int, R: float, eta: float = 0.5) -> float:
    """Fewer unit keys than this are certified at budget R in dimension d: (2), its right side.

    >>> circle_tokens(1000.0) < most_certified(2, 1000.0) < 1.03 * circle_tokens(1000.0)
    True
    """
    return (1 + 1 / _rho(eta)) * math.exp(-log_mean_weight(d, R))


def surely_certified(d: int, R: float, eta: float = 0.5) -> int:
    """So many unit keys that are certified at budget R exist: (2), its left side; 1 at least.

    >>> surely_certified(16, 16.0) * 16 > most_certified(16, 16.0) - 16
    True
    """
    return max(1, math.ceil((1 + math.floor(math.exp(-log_mean_weight(d, R)) / 2 / _rho(eta))) / 2))


def least_range(n: int, d: int, eta: float = 0.5) -> float:
    """No n unit keys in R^d are certified at this budget or below, n >= 2: (2), solved for R.

    1/m grows with R. Zero where the bound says nothing.

    >>> round(least_range(4096, 64), 2)  # Kerdock keys take 10.04
    8.6
    """
    if n < 2:
        raise BadInput(f"A budget for |q| max|k| needs two tokens or more, not {n}.")
    low, high = 0.0, 1.0
    while most_certified(d, high, eta) <= n:
        low, high = high, 2 * high
        if high > 1e300:
            raise BadInput(f"No budget certifies {n} unit keys in dimension {d}: use d >= 2.")
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if most_certified(d, middle, eta) <= n else (low, middle)
    return low


def certified_prefix(rows: ArrayLike, R: float, eta: float = 0.5) -> int:
    """The largest n such that the first n of these unit keys are certified at budget R.

    ``rows`` [n, d]. S'_i grows with every key, so the first failure is final: keys are added one
    at a time, at a cost of n d products each.

    Raises:
        BadInput: a row is not unit to 1e-5.

    >>> certified_prefix([[1, 0], [-1, 0], [0, 1], [0, -1]], 2.0), _rho(0.5)
    (4, 3.0)
    """
    _check_budget(R)
    keys, bound = np.asarray(rows, dtype=np.float64), 1 / _rho(eta)
    norms = np.einsum("ij,ij->i", keys, keys)
    if keys.ndim != 2 or np.abs(norms - 1).max() > 1e-5:
        raise BadInput("A budget for |q| max|k| needs unit keys: normalise the rows.")
    total = np.zeros(len(keys))
    for n in range(1, len(keys)):
        weights = np.exp(R * (keys[:n] @ keys[n] - 1))
        total[n] = weights.sum()
        total[:n] += weights
        if total[: n + 1].max() >= bound:
            return n
    return len(keys)


def random_rate(beta: float) -> float:
    """g(beta): n = e^{g d} random unit keys are certified at R = beta d, up to e^{o(d)} (ours).

    The mean of e^{R <k_l,k_i>} over the sphere is e^{d phi + o(d)}, phi = max_u beta u +
    ln(1-u^2)/2 (density of the cosine u: (1-u^2)^{(d-3)/2}), at u = (sqrt(1 + 4 beta^2) - 1)/(2
    beta). So S' ~ n e^{-d (beta - phi)} and n ~ e^{g d} with g = beta - phi > 0: exponentially many
    at R = Theta(d), which is Corollary 9. (The nearest pair asks for less: 1 - mu > ln(rho)/R holds
    up to n ~ (R/ln rho)^{(d-1)/4}, more than e^{g d} once d is large.)

    >>> round(random_rate(1.0), 4)
    0.6226
    """
    _check_budget(beta)
    u = (math.sqrt(1 + 4 * beta * beta) - 1) / (2 * beta)
    return beta - (beta * u + 0.5 * math.log1p(-u * u))


def hypercube_budget(d: int, eta: float = 0.5) -> float:
    """R at which all 2^d hypercube keys are certified, d 2^d bits: ``full_family_scale`` (exact).

    It tends to (d/2) ln(d / ln(1 + 1/rho)) (ours): c* = -ln((1 + 1/rho)^{1/d} - 1)/2 and
    (1 + x)^{1/d} - 1 = ln(1 + x)/d + O(d^-2).

    >>> round(hypercube_budget(16), 2)
    32.08
    """
    return full_family_scale(d, _rho(eta))
