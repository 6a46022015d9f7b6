"""Information-theoretic limits: Fano's line, the no-hypercompression bound, what codes achieve.

h(p) = -p log2 p - (1-p) log2(1-p), bits throughout; N counts secret bits, m message bits.

1. Fano's line (Theorem 5 / 23; the finite form is docs/theory.md, Theorem A). X uniform on
   {0,1}^N, public coins P independent of X, bit i guessed from (M, P) with error eps_i, mean
   eps <= 1/2:
   H(M|P) >= I(X;M|P) >= sum_i I(X_i;M|P) >= sum_i (1 - h(eps_i)) >= N (1 - h(eps)), by the chain
   rule with independent X_i, Fano's inequality for a bit, and concavity of h.
2. No hypercompression (ours): Pr[at most k of N bits wrong] <= 2^m V(N,k) / 2^N for at most 2^m
   messages, V(N,k) = sum_{j<=k} binom(N,j). Fix the coins: every x that is recovered with at most k
   errors lies in the Hamming ball of radius k around one of at most 2^m reconstructions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from ..errors import BadInput

_LN2 = math.log(2)
#: below this size binomials are summed as integers, so their logarithms are exact to float64
_EXACT = 2048


def binary_entropy(p: float) -> float:
    """h(p) in bits, 0 <= p <= 1.

    >>> binary_entropy(0.5), round(binary_entropy(0.1), 6)
    (1.0, 0.468996)
    """
    if not 0 <= p <= 1:
        raise BadInput(f"A probability must lie in [0, 1], not {p:g}.")
    q = min(p, 1 - p)
    return _low_entropy(q) if q < 0.25 else 1 - _deficit(1 - 2 * q)


def _deficit(u: float) -> float:
    """1 - h((1-u)/2), 0 <= u <= 1, to full relative accuracy also near 0."""
    if u < 0.05:  # sum of u^{2k} / (2k (2k-1)), the logarithms' series: no cancellation
        return math.fsum(u ** (2 * k) / (2 * k * (2 * k - 1)) for k in range(1, 9)) / _LN2
    low = (1 - u) * math.log1p(-u) if u < 1 else 0.0
    return ((1 + u) * math.log1p(u) + low) / (2 * _LN2)


def fano_rate(error: float) -> float:
    """1 - h(error): message bits per secret bit that an average bit error ``error`` costs.

    >>> round(fano_rate(0.1), 6), fano_rate(0.5), fano_rate(0.0)
    (0.531004, 0.0, 1.0)
    """
    if not 0 <= error <= 1:
        raise BadInput(f"A bit error must lie in [0, 1], not {error:g}.")
    return _deficit(abs(1 - 2 * error))


def _low_entropy(p: float) -> float:
    return 0.0 if p == 0 else -(p * math.log(p) + (1 - p) * math.log1p(-p)) / _LN2


def error_floor(rate: float) -> float:
    """h^{-1}(1 - rate) in [0, 1/2]: no scheme at ``rate`` message bits per bit has a smaller error.

    0 for rate >= 1 and 1/2 for rate <= 0. Newton's method from the side on which it cannot
    overshoot. rate > 1/2: h is concave, and h(p) <= 2 sqrt(p(1-p)) puts p = (1-rate)^2/4 left of
    the root. rate <= 1/2: in u = 1 - 2p, 1 - h = (u^2/2 + u^4/12 + ...)/ln 2 is convex and
    u = sqrt(2 ln 2 rate) is right of the root.

    >>> round(error_floor(0.5), 5), error_floor(1.5), error_floor(0.0)
    (0.11003, 0.0, 0.5)
    """
    if math.isnan(rate):
        raise BadInput("A rate must be a number of message bits per secret bit, not nan.")
    if rate >= 1 or rate <= 0:
        return 0.0 if rate >= 1 else 0.5
    if rate > 0.5:
        p = (1 - rate) ** 2 / 4
        for _ in range(100):
            step = (1 - rate - _low_entropy(p)) * _LN2 / (math.log1p(-p) - math.log(p))
            p += step
            if step <= 2e-16 * p:
                break
        return p
    u = math.sqrt(2 * _LN2 * rate)
    for _ in range(100):
        step = (_deficit(u) - rate) * _LN2 / math.atanh(u)
        u -= step
        if step <= 2e-16 * u:
            break
    return (1 - u) / 2


def log2_binomial(N: int, k: int) -> float:
    """log2 of binom(N, k); -inf outside 0 <= k <= N. Relative error a few 2^-52 of log2 N!."""
    if not 0 <= k <= N:
        return -math.inf
    if N <= _EXACT or min(k, N - k) <= 32:
        return math.log2(math.comb(N, k))
    return (math.lgamma(N + 1) - math.lgamma(k + 1) - math.lgamma(N - k + 1)) / _LN2


def log2_ball(N: int, k: int) -> float:
    """log2 V(N, k), V(N, k) = sum_{j<=k} binom(N, j), the size of a Hamming ball of radius k.

    Up to N = 2048 in integers. Beyond, for k < N/2, V = binom(N,k) (1 + r_1 (1 + r_2 (1 + ...)))
    with r_j = (k-j+1)/(N-k+j) < 1, cut where the terms no longer count; for larger k from the
    complement V(N,k) = 2^N - V(N, N-k-1).

    >>> log2_ball(23, 3), log2_ball(5, 9), log2_ball(5, -1)
    (11.0, 5.0, -inf)
    """
    if k < 0:
        return -math.inf
    if k >= N:
        return float(N)
    if N <= _EXACT:
        term = total = 1
        for j in range(1, k + 1):
            term = term * (N - j + 1) // j
            total += term
        return math.log2(total)
    if 2 * k >= N:
        rest = log2_ball(N, N - k - 1) - N
        return N + math.log1p(-(2.0**rest)) / _LN2
    tail = ratio = 1.0
    for j in range(1, k + 1):
        ratio *= (k - j + 1) / (N - k + j)
        tail += ratio
        if ratio < 1e-17 * tail:
            break
    return log2_binomial(N, k) + math.log2(tail)


def no_hypercompression(N: int, m: float, k: int) -> float:
    """log2 of the bound on Pr[at most k of N random bits wrong] with 2^m messages: at most 0.

    Perfect codes meet it: Golay(23,12), m = 12, corrects every word to within 3.

    >>> no_hypercompression(23, 12, 3), no_hypercompression(100, 50, 0)
    (0.0, -50.0)
    """
    if N < 1 or m < 0:
        raise BadInput(f"Needs N >= 1 secret bits and m >= 0 message bits, not {N} and {m:g}.")
    return min(0.0, m + log2_ball(N, k) - N)


def time_sharing_error(rate: float | Fraction) -> float | Fraction:
    """(1 - rate)/2: keep a share ``rate`` of the bits, guess the others. Exact for a Fraction.

    >>> time_sharing_error(Fraction(4, 7))
    Fraction(3, 14)
    """
    if not 0 <= rate <= 1:
        raise BadInput(
            f"Time sharing keeps a share of the bits: it must lie in [0, 1], not {float(rate):g}."
        )
    return (1 - rate) / 2


@dataclass(frozen=True)
class Code:
    """A linear code as a compressor: send the nearest codeword's index.

    ``rate`` is message bits per secret bit; ``distortion`` the exact mean bit error for uniform
    secrets, that is the mean weight of the coset leaders over the length.
    """

    name: str
    rate: Fraction
    distortion: Fraction


#: exact distortions by enumeration of the coset leaders (tests repeat it). A perfect code's leaders
#: are the ball: Hamming(2^r-1) has (2^r-1)/2^r/(2^r-1) = 2^-r, Golay (23 + 2*253 + 3*1771)/2048/23
CODES = (
    Code("repetition(5,1)", Fraction(1, 5), Fraction(5, 16)),
    Code("repetition(3,1)", Fraction(1, 3), Fraction(1, 4)),
    Code("Golay(23,12)", Fraction(12, 23), Fraction(5842, 2048 * 23)),
    Code("Hamming(7,4)", Fraction(4, 7), Fraction(1, 8)),
    Code("Hamming(15,11)", Fraction(11, 15), Fraction(1, 16)),
    Code("Hamming(31,26)", Fraction(26, 31), Fraction(1, 32)),
)


def index_bound_bits(secret_bits: float, success: float = 0.9) -> float:
    """secret_bits (1 - h(1 - success)): the message bits that answering each bit costs (Fano).

    ``success`` in [1/2, 1] is the probability with which each bit is right. At the theorem's 9/10
    this is .531 bits a bit, at 2/3 it is .0817.

    >>> round(index_bound_bits(1000, 0.9), 1), round(index_bound_bits(1000, 2 / 3), 1)
    (531.0, 81.7)
    """
    if not 0.5 <= success <= 1:
        raise BadInput(
            f"success must lie in [1/2, 1], not {success:g}: 1/2 is the success of a random guess."
        )
    return secret_bits * fano_rate(1 - success)


def compression_ratio_limit(n: int, d_k: int, d_v: int, bits: float) -> float:
    """16 n (d_k + d_v) / bits: how far below a 16-bit K and V cache a state of ``bits`` bits is.

    With ``bits`` from :func:`index_bound_bits`, no algorithm with the guarantee compresses further
    on that stream.

    >>> round(compression_ratio_limit(512, 64, 64, index_bound_bits(512 * 64)), 2)
    60.26
    """
    if n < 1 or d_k < 1 or d_v < 1 or bits < 0:
        raise BadInput(f"Needs positive sizes and bits >= 0, not {n}, {d_k}, {d_v}, {bits:g}.")
    return 16 * n * (d_k + d_v) / bits if bits > 0 else math.inf
