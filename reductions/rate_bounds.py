"""Rates for numbers with more than one bit: symbol error and mean squared error (ours, classical).

N numbers X_i, independent, uniform on B levels (0 .. B-1, step 1); a message M made from them and
public coins; guesses made from M and the coins. As in ``bounds``, H(M) >= I(X;M) >= sum_i I(X_i;M),
so each bound is one on R = message bits *per number*, at the mean error over numbers. Secrets are
Nb bits, b = log2 B; bit errors keep their own bound, N b (1 - h(bit error)).

1. *Symbol error* e, the mean share of wrong numbers (Fano): given M, X_i is told by "is the guess
   right?" and if not which of B - 1, so H(X_i|M) <= h(e_i) + e_i log2(B-1), concave in e_i:

       R >= log2 B - h(e) - e log2(B-1) = (1-e) log2((1-e) B) + e log2(e B/(B-1)).              (3)

2. *Squared error* D = mean of (X_i - X^_i)^2, any real guesses. Let Y = X + U, U uniform on
   [-1/2, 1/2] and independent of all else (a dither), so that Y is uniform on an interval of length
   B: its differential entropy is log2 B. Y - X - M is a Markov chain, a constant shift leaves
   entropies alone, and a Gaussian has the largest entropy at a given second moment:

       I(X;M) >= I(Y;M) = h(Y) - h(Y - X^ | M) >= log2 B - 1/2 log2(2 pi e (D + 1/12)).         (4)

   Requantising to c <= b bits (cells of s = 2^{b-c} levels, guess the middle) has D + 1/12 =
   s^2/12, so (4) reads c - 1/2 log2(2 pi e/12): .2546 bit below it, for every c and b.

3. *Any distortion*, the Lagrange dual of the rate-distortion function (Berger 1971; the algorithm
   is Blahut's and Arimoto's, 1972). For lam >= 0 and weights w(x) > 0 with f(y) := mean_x w(x)
   e^{-lam d(x,y)} <= 1 at every y,

       R >= mean_x log2 w(x) - lam D log2 e.                                                    (5)

   Proof: for any channel W(y|x) with output law r, I - mean log2 w + lam D log2 e = mean of
   log2 [W/(r e^{-lam d} w)] >= -log2 (sum_y r(y) f(y)) >= 0, by Jensen's inequality. With any law q
   on guesses, Z_x = sum_y q(y) e^{-lam d(x,y)} and w = 1/(Z_x max_y f) this is the bound that is
   computed: it holds for whatever q and lam an optimiser ends with.

   *Real guesses, d = (x-y)^2.* Each term of f falls away from its x, so the maximum M of f is
   between 0 and B - 1. There f'' = sum of p w (4 lam^2 u^2 - 2 lam) e^{-lam u^2} >= -2 lam f >=
   -2 lam M, u = x - y. At a maximum inside f' = 0, so the nearest point of a grid of step h that
   has both ends has f >= M (1 - lam h^2/4), by Taylor: M <= (max on the grid) / (1 - lam h^2/4).
   A finer grid is only needed around points where f comes within that share of the grid's maximum.

Everything is float64; the bounds are meant to 1e-9.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Floats = NDArray[np.float64]

_LN2 = math.log(2)
#: .2546 bit, from a uniform scalar quantiser to its bound (4), and to Shannon's for a uniform law
SCALAR_GAP = 0.5 * math.log2(2 * math.pi * math.e / 12)
#: mean squared error of the best scalar quantisers of N(0,1) with 1 to 4 bits (Lloyd; Max 1960)
LLOYD_MAX = {1: 0.3634, 2: 0.1175, 3: 0.03454, 4: 0.009497}
#: lam h^2 / 4 of the grid on which the largest f is looked for, and of the finer one around it
_NEAR, _FINE = 2.0**-9, 2.0**-17
#: where e^{-lam} is nothing beside 1
_STEEPEST = 64.0
#: rounds of the iteration, at most, and products in all of them
_ROUNDS, _WORK = 2000, 1 << 27
#: points of the scan for a slope, steps of the search that follows; slopes for many rates
_SCAN, _GOLDEN, _SLOPES = 10, 14, 33
#: over-relaxation of the iteration: nearly twice as fast
_BOLD = 1.9


def _check_levels(levels: int) -> None:
    if levels < 2:
        raise BadInput(f"An alphabet must have at least 2 levels, not {levels}.")


def _check_rate(rate: float) -> None:
    if math.isnan(rate):
        raise BadInput("A rate must be a number of message bits per number, not nan.")


# -- symbol error --------------------------------------------------------------------------------


def symbol_rate(error: float, levels: int) -> float:
    """(3): message bits per number that a mean symbol error costs. Two levels: ``fano_rate``.

    >>> symbol_rate(0, 16), symbol_rate(15 / 16, 16), round(symbol_rate(0.1, 16), 4)
    (4.0, 0.0, 3.1403)
    """
    _check_levels(levels)
    if not 0 <= error <= 1:
        raise BadInput(f"A symbol error must lie in [0, 1], not {error:g}.")
    right = (1 - error) * math.log2((1 - error) * levels) if error < 1 else 0.0
    wrong = error * math.log2(error * levels / (levels - 1)) if error > 0 else 0.0
    return max(0.0, right + wrong)


def symbol_error_floor(rate: float, levels: int) -> float:
    """The symbol error that no scheme at ``rate`` bits per number goes below: (3) solved for e.

    1 - 1/B at rate 0 and below, 0 from log2 B on. By bisection: (3) falls on [0, 1 - 1/B].

    >>> symbol_error_floor(0, 16), symbol_error_floor(4, 16), round(symbol_error_floor(2, 16), 4)
    (0.9375, 0.0, 0.2897)
    """
    _check_levels(levels)
    _check_rate(rate)
    low, high = 0.0, 1 - 1 / levels
    if rate <= 0 or rate >= math.log2(levels):
        return high if rate <= 0 else low
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if symbol_rate(middle, levels) > rate else (low, middle)
    return low


def symbol_time_sharing(rate: float, levels: int) -> float:
    """(1 - rate/log2 B)(1 - 1/B): keep a share of the numbers, guess the others.

    >>> symbol_time_sharing(2, 16)
    0.46875
    """
    return (1 - _share(rate, levels)) * (1 - 1 / levels)


def _share(rate: float, levels: int) -> float:
    _check_levels(levels)
    if not 0 <= rate <= math.log2(levels):
        raise BadInput(
            f"Time sharing needs 0 to log2 B = {math.log2(levels):g} bits per number, not {rate:g}."
        )
    return rate / math.log2(levels)


# -- squared error -------------------------------------------------------------------------------


def dither_rate(mse: float, levels: int) -> float:
    """(4), or 0: message bits per number that a squared error D costs, in units of the step.

    >>> round(dither_rate(0, 16), 4)  # log2(16) - .2546
    3.7454
    """
    _check_mse(mse, levels)
    return max(0.0, math.log2(levels) - 0.5 * math.log2(2 * math.pi * math.e * (mse + 1 / 12)))


def dither_mse_floor(rate: float, levels: int) -> float:
    """The squared error that no scheme at ``rate`` bits per number goes below: (4) solved for D."""
    _check_levels(levels)
    _check_rate(rate)
    entropy_power: float = levels**2 / (2 * math.pi * math.e * 4.0 ** max(0.0, rate))
    return max(0.0, entropy_power - 1 / 12)


def _check_mse(mse: float, levels: int) -> None:
    _check_levels(levels)
    if not 0 <= mse < math.inf:
        raise BadInput(f"A mean squared error must be a number >= 0, not {mse:g}.")


def mse_time_sharing(rate: float, levels: int) -> float:
    """(1 - rate/log2 B)(B^2 - 1)/12: keep a share of the numbers, guess the mean for the others.

    >>> mse_time_sharing(2, 16)
    10.625
    """
    return (1 - _share(rate, levels)) * (levels**2 - 1) / 12


def requantised(levels: int, bits: int) -> tuple[float, float, float]:
    """Keeping the highest ``bits`` of b = log2 B bits: (squared, symbol, Gray-coded bit) error.

    Cells of s = 2^{b-bits} levels: (s^2 - 1)/12 with the middle as the guess, 1 - 1/s and
    (1 - bits/b)/2 with any level of the cell. In bits that is time sharing, exactly.

    >>> requantised(16, 2)
    (1.25, 0.75, 0.25)
    """
    _check_levels(levels)
    b = levels.bit_length() - 1
    if levels != 1 << b or not 0 <= bits <= b:
        raise BadInput(f"Needs B = 2^b levels and 0 to b bits, not {levels} and {bits}.")
    s = 1 << (b - bits)
    return (s**2 - 1) / 12, 1 - 1 / s, (1 - bits / b) / 2


def uniform_mse_rate(mse: float) -> float:
    """Shannon's lower bound for U[0,1]: 1/2 log2(1/(2 pi e D)) bits, or 0.

    A c-bit uniform quantiser has D = 4^-c/12 and is .2546 bit above it.
    """
    _check_mse(mse, 2)
    if mse == 0:
        return math.inf
    return max(0.0, -0.5 * math.log2(2 * math.pi * math.e * mse))


def gaussian_mse_rate(mse: float, variance: float = 1.0) -> float:
    """R(D) of N(0, variance), exact (Shannon 1959): 1/2 log2(variance/D) bits, or 0.

    >>> [round(c - gaussian_mse_rate(mse), 2) for c, mse in LLOYD_MAX.items()]  # what they lose
    [0.27, 0.46, 0.57, 0.64]
    """
    _check_mse(mse, 2)
    if not 0 < variance < math.inf:
        raise BadInput(f"A variance must be a positive number, not {variance:g}.")
    return math.inf if mse == 0 else max(0.0, 0.5 * math.log2(variance / mse))


# -- the dual ------------------------------------------------------------------------------------


def dual_rate(distance: Floats, guesses: Floats, slope: float, distortion: float) -> float:
    """(5) for a finite set of guesses: bits per number, rigorous for any law and any slope >= 0.

    Args:
        distance: float64[B, K], d(x, y), x uniform on the B rows.
        guesses: float64[K], the law q, nowhere negative.
        slope: lam, in nats per unit of distortion.
        distortion: D.

    >>> hamming = 1 - np.eye(4)  # Fano's bound, at its own slope
    >>> bound = dual_rate(hamming, np.full(4, 0.25), math.log(0.9 / (0.1 / 3)), 0.1)
    >>> math.isclose(bound, symbol_rate(0.1, 4))
    True
    """
    lawful = (np.asarray(guesses) >= 0).all()
    if not (0 <= slope < math.inf and 0 <= distortion < math.inf and lawful):
        raise BadInput("The dual bound needs slope >= 0, distortion >= 0 and a law of guesses.")
    kernel = np.exp(-slope * np.asarray(distance, dtype=np.float64))
    Z = kernel @ guesses
    most = float((kernel / Z[:, None]).mean(axis=0).max())
    return _intercept(Z, most) - slope * distortion / _LN2


def _intercept(Z: Floats, most: float) -> float:
    return -float(np.log2(Z).mean()) - math.log2(most)


def optimal_guesses(kernel: Floats, rounds: int = _ROUNDS) -> Floats:
    """Blahut's and Arimoto's iteration: float64[K] for a kernel e^{-lam d}, float64[B, K].

    Over-relaxed; it stops where (5) is within 1e-6 bit of what any law gives at this slope.
    """
    q = np.full(kernel.shape[1], 1 / kernel.shape[1])
    for _ in range(rounds):
        rise = (1 / (kernel @ q)) @ kernel / len(kernel)
        if rise.max() < 1 + 0.5e-6:
            break
        q *= rise**_BOLD
        q[q < 1e-200] = 0.0  # denormal numbers are slow
        q /= q.sum()
    return np.asarray(q)


@lru_cache(maxsize=1024)
def _grid_intercept(levels: int, slope: float) -> float:
    """mean log2 w of (5) for the grid 0 .. B-1, squared error and real guesses."""
    x, top = np.arange(levels, dtype=np.float64), levels - 1.0

    def kernel(y: Floats) -> Floats:
        return np.exp(np.maximum(-slope * np.square(x[:, None] - y), -600.0))

    def grid(step: float) -> Floats:
        return np.linspace(0, top, max(2, math.ceil(top / step) + 1))

    guesses = kernel(grid(min(1.0, max(0.05, 0.1 / math.sqrt(slope)))))
    Z = guesses @ optimal_guesses(guesses, min(_ROUNDS, _WORK // guesses.size))
    step = math.sqrt(4 * _NEAR / slope)
    y = grid(step)
    f = (1 / Z) @ kernel(y)
    near = y[f >= (1 - _NEAR) * f.max()]
    around = step * np.linspace(-0.5, 0.5, math.ceil(math.sqrt(_NEAR / _FINE)) + 1)
    fine = np.unique(np.clip(near[:, None] + around, 0, top))
    most = float(((1 / Z) @ kernel(fine)).max()) / levels
    return _intercept(Z, most / (1 - _FINE))


def _steepest(levels: int, value: Callable[[float], float]) -> float:
    """The largest value(lam) that a coarse scan and a golden section find."""
    # Below 1/(2 variance) the best guess is the mean and nothing is bounded.
    low, high = math.log(6 / (levels**2 - 1)), math.log(_STEEPEST)
    points = [low + (high - low) * i / (_SCAN - 1) for i in range(_SCAN)]
    found = [value(math.exp(point)) for point in points]
    best = max(range(_SCAN), key=found.__getitem__)
    a, b = points[max(0, best - 1)], points[min(_SCAN - 1, best + 1)]
    ratio = (math.sqrt(5) - 1) / 2
    c, d = b - ratio * (b - a), a + ratio * (b - a)
    at_c, at_d = value(math.exp(c)), value(math.exp(d))
    for _ in range(_GOLDEN):
        found += [at_c, at_d]
        if at_c > at_d:
            b, d, at_d = d, c, at_c
            c = b - ratio * (b - a)
            at_c = value(math.exp(c))
        else:
            a, c, at_c = c, d, at_d
            d = a + ratio * (b - a)
            at_d = value(math.exp(d))
    return max(*found, at_c, at_d)


def grid_mse_rate(mse: float, levels: int) -> float:
    """The larger of (4) and (5) for the grid: bits per number that a squared error costs.

    Above (4) it is near R(D) itself. log2 B at D = 0; 0 from the variance (B^2 - 1)/12 on.

    >>> round(grid_mse_rate(0.951, 16), 2), round(dither_rate(0.951, 16), 2)
    (2.03, 1.93)
    """
    _check_mse(mse, levels)
    if mse == 0 or mse >= (levels**2 - 1) / 12:
        return math.log2(levels) if mse == 0 else 0.0
    dual = _steepest(levels, lambda slope: _grid_intercept(levels, slope) - slope * mse / _LN2)
    return max(dual, dither_rate(mse, levels))


def grid_mse_floor(rate: float, levels: int) -> float:
    """The squared error that no scheme at ``rate`` bits per number goes below; as above.

    Each slope's line (5), solved for D, is a bound; so is (4).
    """
    _check_levels(levels)
    _check_rate(rate)
    if rate >= math.log2(levels) or rate <= 0:
        return 0.0 if rate > 0 else (levels**2 - 1) / 12
    dual = _steepest(levels, lambda slope: (_grid_intercept(levels, slope) - rate) * _LN2 / slope)
    return max(0.0, dual, dither_mse_floor(rate, levels))


def grid_mse_floors(rates: Sequence[float], levels: int) -> list[float]:
    """As :func:`grid_mse_floor` for many rates, by one set of slopes: bounds a few per cent lower.

    >>> grid_mse_floors([0, 4], 16)
    [21.25, 0.0]
    """
    return [_floor(rate, levels) for rate in rates]


def _floor(rate: float, levels: int) -> float:
    _check_levels(levels)
    _check_rate(rate)
    if rate >= math.log2(levels) or rate <= 0:
        return 0.0 if rate > 0 else (levels**2 - 1) / 12
    low, high = math.log(6 / (levels**2 - 1)), math.log(_STEEPEST)
    slopes = [math.exp(low + (high - low) * i / (_SLOPES - 1)) for i in range(_SLOPES)]
    lines = [(_grid_intercept(levels, slope) - rate) * _LN2 / slope for slope in slopes]
    return max(0.0, *lines, dither_mse_floor(rate, levels))
