"""Numbers that can be trusted: enclosures by ``mpmath.iv``, from exact fractions to exact integers.

A certificate is believed for what is computed here, so nothing is a float. Everything starts from
integers and fractions, becomes an interval of 192-bit ends that holds the exact value, and leaves
as an integer or a fraction on the safe side. The context is a private one: the precision of
``mpmath.iv`` itself, which belongs to whoever imports it, is neither read nor changed.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from mpmath import libmp
from mpmath.ctx_iv import MPIntervalContext

PRECISION = 192
_iv = MPIntervalContext()
_iv.prec = PRECISION

#: below this N, and for a k this near to 0 or N, binomials are integers
_EXACT_N = 2048
_EXACT_K = 64


def enclosure(x: Fraction | int) -> Any:
    """An interval around x."""
    x = Fraction(x)
    return _iv.mpf(x.numerator) / _iv.mpf(x.denominator)


def exponential(x: Fraction | int) -> Any:
    """An interval around e^x."""
    return _iv.exp(enclosure(x))


def surely_below(x: Any, y: Any) -> bool:
    """Whether every point of the interval x lies below every point of y."""
    return bool(libmp.mpf_lt(x._mpi_[1], y._mpi_[0]))


def floor_of(x: Any) -> int:
    """The largest integer that is at most every point of the interval x."""
    return int(libmp.to_int(x._mpi_[0], libmp.round_floor))


def ceiling_of(x: Any) -> int:
    """The least integer that is at least every point of the interval x."""
    return int(libmp.to_int(x._mpi_[1], libmp.round_ceiling))


def outward(x: Any, unit: int) -> tuple[Fraction, Fraction]:
    """Multiples of 1/unit below and above every point of the interval x.

    >>> outward(exponential(1), 1000)
    (Fraction(1359, 500), Fraction(2719, 1000))
    """
    return Fraction(floor_of(x * unit), unit), Fraction(ceiling_of(x * unit), unit)


def fano_bits(N: int, success: Fraction) -> int:
    """N (1 - h(1 - success)), rounded down; 1/2 <= success <= 1 exactly.

    >>> fano_bits(1000, Fraction(9, 10)), fano_bits(1000, Fraction(1)), fano_bits(8, Fraction(1, 2))
    (531, 1000, 0)
    """
    if success == 1:
        return N
    if success == Fraction(1, 2):
        return 0
    entropy = _iv.mpf(0)
    for p in (success, 1 - success):
        entropy -= enclosure(p) * _iv.log(enclosure(p))
    return max(0, floor_of(N * (1 - entropy / _iv.log(_iv.mpf(2)))))


def log2_bits(B: int, success: Fraction = Fraction(1)) -> Any:
    """An interval around log2 B - h(1 - success) - (1 - success) log2(B - 1), B >= 1 levels.

    >>> floor_of(1000 * log2_bits(2, Fraction(9, 10))), floor_of(log2_bits(8))
    (531, 3)
    """
    two = _iv.log(_iv.mpf(2))
    if B & (B - 1) == 0:
        bits = _iv.mpf(B.bit_length() - 1)
    else:
        bits = _iv.log(_iv.mpf(B)) / two
    if success == 1:
        return bits
    for p in (success, 1 - success):
        bits += enclosure(p) * _iv.log(enclosure(p)) / two
    return bits - enclosure(1 - success) * _iv.log(_iv.mpf(B - 1)) / two if B > 2 else bits


def surprise_bits_floor(asked: int, charged: int, wrong: int) -> int:
    """An integer at most N - m - log2(N+1) - log2 C(N,k); 0 <= k = wrong <= N = asked.

    Up to N = 2048, and for min(k, N-k) <= 64, it is exactly the floor, by integers alone: with
    X = (N+1) C(N,k) the least integer >= log2 X is the number of binary digits of X - 1. Beyond,
    factorials are between Robbins' bounds (1955), n! = sqrt(2 pi n) (n/e)^n e^r with
    1/(12n+1) < r < 1/(12n), and what is given away is below 1e-5 bits before rounding down.

    >>> surprise_bits_floor(8, 0, 0), surprise_bits_floor(7, 0, 0), surprise_bits_floor(2048, 0, 9)
    (4, 4, 1956)
    """
    N, k = asked, min(wrong, asked - wrong)
    if N <= _EXACT_N or k <= _EXACT_K:
        return N - charged - ((N + 1) * math.comb(N, k) - 1).bit_length()
    log = _iv.log(_iv.mpf(N + 1)) + _log_factorial(N) - _log_factorial(k) - _log_factorial(N - k)
    return N - charged - ceiling_of(log / _iv.log(_iv.mpf(2)))


def _log_factorial(n: int) -> Any:
    x = _iv.mpf(n)
    remainder = _iv.mpf([(1 / (12 * x + 1)).a, (1 / (12 * x)).b])
    return (x + _iv.mpf(0.5)) * _iv.log(x) - x + _iv.log(2 * _iv.pi) / 2 + remainder
