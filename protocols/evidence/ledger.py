"""The ledger: is the charged memory possible at all?

N bits asked, k of them answered wrongly, m bits charged; summed over messages *before* logarithms,

    s = N - m - log2(N+1) - log2 C(N, k) = N - m + log2 B(k+1, N-k+1)        [bits of surprise]

**Claim (ours, the anytime form of the no-hypercompression bound).** For every compressor, honest
or not, W_T = 2^{s_T} after T messages is a test supermartingale: W_0 = 1 and E[W_T | past] <=
W_{T-1}. So Pr[sup_T s_T >= b] <= 2^-b (Ville), and s may be looked at after any message.

*Proof.* 1/((N+1) C(N,k)) = Int_0^1 p^k (1-p)^{N-k} dp =: q(E) is a probability of the error
pattern E in {0,1}^N (a Laplace mixture), hence a product of conditionals q(E_t | E_1..E_{t-1}),
and W_T / W_{T-1} = 2^{N_t - m_t} q(E_t | past). Fix all coins and the past. The secret bits x_t
that are asked are uniform on {0,1}^{N_t} (those not asked are fixed too), and x_t -> (M_t, E_t)
is injective, because Bob's answers are a function of M_t and x_t = answers XOR E_t. So

    E[2^{N_t-m_t} q(E_t|past) | past] = sum_x 2^{-m(M)} q(E|past) <= sum_M 2^{-m(M)} sum_E q <= 1

by Kraft: charged lengths are those of a prefix-free code (a length that is self-delimiting, or
constant and declared before x is drawn).   []

*Failed messages.* A message that fails has its asked bits guessed with coins of the harness.
Failing is itself a signal: it adds one word to the code, charged ``FAILED_CHARGE`` = 64 bits, so
a factor is at most 1 + 2^-64, and E[W_T] <= (1 + 2^-64)^T, which is 1 for every practical
purpose. A batch that fails as a whole afterwards exchanges its factors for a guesser's, each times
2^-64; by the union bound this adds no more.

*Families.* The average of supermartingales in one filtration is one. Cells may share secrets
message by message and may stop on their own data; the average at message t, a cell that has
stopped keeping its value, is therefore held against the same line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]
LedgerVerdict = Literal["impossible", "not-excluded"]

LINE_BITS = 40.0
"""An honest compressor reaches this surprise with probability at most 2^-40."""


def surprise_bits(asked: ArrayLike, charged: ArrayLike, wrong: ArrayLike) -> Any:
    """N - m - log2(N+1) - log2 C(N, k) in bits, for sums over messages; arrays broadcast.

    The binomial is taken as a Beta integral, B(k+1, N-k+1) = 1/((N+1) C(N,k)), in float64: the
    error is below 2e-5 bits up to N = 10^9.

    >>> round(float(surprise_bits(asked=8, charged=0, wrong=0)), 9)  # 8 less log2(9)
    4.830074999
    >>> round(float(surprise_bits(asked=2048, charged=1024, wrong=102)))  # 50 % memory, 5 % errors
    433
    """
    N, m, k = (np.asarray(a, dtype=np.float64) for a in (asked, charged, wrong))
    return N - m + log_beta(k + 1.0, N - k + 1.0) / math.log(2.0)


_log_gamma = np.frompyfunc(math.lgamma, 1, 1)


def log_beta(a: ArrayLike, b: ArrayLike) -> Float64:
    """ln B(a, b) = ln Gamma(a) + ln Gamma(b) - ln Gamma(a + b), for a, b > 0; arrays broadcast.

    By the C library's lgamma: every attack needs it, and scipy takes longer to import than most
    attacks take to judge.

    >>> round(float(log_beta(3, 4)), 12) == round(math.log(1 / 60), 12)  # 2! 3! / 6!
    True
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.asarray(_log_gamma(a) + _log_gamma(b) - _log_gamma(a + b), dtype=np.float64)


def sampled_surprise_bits(
    secret: ArrayLike,
    charged: ArrayLike,
    error: ArrayLike,
    rows: ArrayLike,
    share: ArrayLike = 1.0,
) -> Any:
    """Surprise, in bits, when only a sample of the rows was asked; arrays broadcast.

    ``secret`` N and ``charged`` m are sums over messages, ``error`` the fraction of wrong bits
    among all ``rows`` asked (R in number, every row of equally many bits), and ``share`` (at most
    1) such that the expected fraction in the sample is at least ``share`` times the fraction over
    all rows. Scaling the wrong bits of a sample up to N would convict honest compressors; this
    does not.

    For a number k* of wrong bits among all N, write kappa = k*/N and

        A(k*) = 2^{m-N} V(N, k*) <= 2^{m - N + N h(kappa)}       (kappa <= 1/2)
        B(k*) = 2^{-R kl(error || share kappa)}                  (1 if error >= share kappa)

    Result: max over k* of -log2 max(A, B), less 1 bit.

    **Claim (ours).** Pr[result >= b] <= 2^-b, whatever the compressor, at one look.
    *Proof.* (i) For all m at once: Pr[A(K) <= a] <= a, K the wrong bits among all N. The secrets
    with A(K) <= a are covered, for each message M, by a ball of at most a 2^{N - m(M)} points;
    Kraft sums this to a 2^N. (ii) Given secret and message the row errors are fixed numbers in
    [0, 1], and the rows drawn are independent of them: each row is one variable (bits within a
    row are dependent), and Hoeffding 1963 (Theorem 1, and Section 6 for drawing without
    replacement; unequal means enter by their average) gives Pr[B(k*) <= a] <= a when K > k*.
    (iii) k* is chosen after the data: A grows and B falls with k*. Let k0 = max{k*: A(k*) <= a},
    a function of m. If max(A, B) <= a at some k*, then k* <= k0 and so B(k0) <= a. Hence K <= k0,
    which is (i), or K > k0 and B(k0) <= a, which is (ii) given the message: together at most 2a,
    one bit.   []

    It needs that a row's answer does not depend on which other rows are asked, which holds because
    each row is answered from its own copy of the same snapshot.
    """
    arrays = (secret, charged, error, rows, share)
    N, m, x, R, rho = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in arrays))
    low, high = np.zeros_like(N), np.full_like(N, 0.5)
    for _ in range(60):  # the two terms cross once: bisect kappa in [0, 1/2]
        middle = 0.5 * (low + high)
        memory = N - m - N * _entropy_bits(middle)  # -log2 A, falling in kappa
        sample = R * _kl_bits(x, rho * middle)  # -log2 B, rising in kappa
        low, high = (
            np.where(memory >= sample, middle, low),
            np.where(memory >= sample, high, middle),
        )
    best = np.maximum(
        np.minimum(N - m - N * _entropy_bits(low), R * _kl_bits(x, rho * low)),
        np.minimum(N - m - N * _entropy_bits(high), R * _kl_bits(x, rho * high)),
    )
    return best - 1.0


def look_bits(look: ArrayLike) -> Any:
    """What the j-th look (j = 1, 2, ...) costs a bound valid at one look: log2(j(j+1)) bits.

    sum_j 1/(j(j+1)) = 1, so by the union bound all looks together keep the level.
    """
    j = np.asarray(look, dtype=np.float64)
    return np.log2(j * (j + 1.0))


def _entropy_bits(p: Float64) -> Float64:
    return -(_xlogy(p, p) + _xlogy(1.0 - p, 1.0 - p)) / math.log(2.0)


def _kl_bits(x: Float64, y: Float64) -> Float64:
    """kl(x || y) of two coins in bits where x < y, else 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = _xlogy(x, x / y) + _xlogy(1.0 - x, (1.0 - x) / (1.0 - y))
    return np.where(x < y, apart / math.log(2.0), 0.0)


def _xlogy(x: Float64, y: Float64) -> Float64:
    """x ln y, and 0 where x is 0."""
    return np.asarray(x * np.log(np.where(x > 0, y, 1.0)))


@dataclass(frozen=True)
class Ledger:
    """The ledger of one cell after each of T messages.

    ``path`` float64[T]: s on the asked bits after each message. ``sampled_path`` float64[T]: the
    two-term bound after each message, the cost of looks taken off (None when every row is asked).
    ``surprise`` is s on the totals, which a reader recomputes; ``peak`` is what the verdict rests
    on. ``blind``: no error count could convict, because m >= N.
    """

    surprise: float
    peak: float
    blind: bool
    path: Float64 = field(repr=False, compare=False)
    sampled_path: Float64 | None = field(default=None, repr=False, compare=False)

    @property
    def verdict(self) -> LedgerVerdict:
        """``impossible`` once the peak has reached 40 bits; else ``not-excluded``: no praise."""
        return "impossible" if self.peak >= LINE_BITS else "not-excluded"

    def log2_e_values(self, line: float) -> Float64:
        """log2 of an e-process, float64[T], that exceeds ``line`` as soon as ``peak`` does.

        With every row asked it is ``path``. With sampled rows the two-term bound enters as a bet
        of half the stake, all or nothing, on reaching ``line`` + 1 bits: it wins with probability
        at most 2^-(line+1) and pays 2^(line+1), so 1/2 2^s + 1/2 2^(line+1) 1{reached} has mean
        at most 1.
        """
        if self.sampled_path is None:
            return self.path
        reached = np.maximum.accumulate(self.sampled_path) >= line + 1.0
        return np.logaddexp2(self.path - 1.0, np.where(reached, line, -np.inf))


def ledger(
    asked: ArrayLike,
    charged: ArrayLike,
    wrong: ArrayLike,
    *,
    secret_bits: float,
    row_bits: int,
    shares: ArrayLike | None = None,
) -> Ledger:
    """The ledger of one cell from its messages in order: int[T] each of asked, charged, wrong
    bits.

    ``secret_bits`` (a mean, where messages differ) and ``row_bits`` are those of one message and
    one row. ``shares`` float64[T]:
    the smallest sampling fraction, r_b/n_b over the age buckets, of each message's rows (None:
    every row was asked). When rows are sampled both the asked-bits ledger and the two-term bound
    are read, which costs one bit each (union bound).
    """
    N, m, k = (np.cumsum(np.asarray(a, dtype=np.float64)) for a in (asked, charged, wrong))
    messages = np.arange(1.0, len(N) + 1.0)
    path = np.asarray(surprise_bits(N, m, k), dtype=np.float64)
    secret = secret_bits * messages
    if len(N) == 0:
        return Ledger(0.0, 0.0, False, path)
    blind = bool(m[-1] >= secret[-1])
    if shares is None or bool(np.all(secret == N)):
        return Ledger(float(path[-1]), float(path.max()), blind, path)
    fraction = np.minimum.accumulate(np.asarray(shares, dtype=np.float64))
    sampled = sampled_surprise_bits(secret, m, k / N, N / row_bits, fraction * secret / N)
    sampled = np.asarray(sampled, dtype=np.float64) - look_bits(messages)
    peak = max(float(path.max()), float(sampled.max())) - 1.0
    return Ledger(float(path[-1]), peak, blind, path, sampled)


@dataclass(frozen=True)
class FamilyLedger:
    """The ledger of a family: ``peak`` of the log2 average e-value, and the cells named by it."""

    peak: float
    line: float
    named: tuple[int, ...]

    @property
    def verdict(self) -> LedgerVerdict:
        """``impossible`` when the average e-value has reached 2^40."""
        return "impossible" if self.peak >= LINE_BITS else "not-excluded"


def family_ledger(ledgers: Sequence[Ledger]) -> FamilyLedger:
    """Convict a family of cells by its average e-value, and name cells at s >= 40 + log2(cells).

    The average is taken message by message (a cell that stopped keeps its value), and its running
    peak is held against the line. A named cell convicts its family: its term alone reaches the
    line.
    """
    ledgers = [entry for entry in ledgers if len(entry.path)]
    if not ledgers:
        return FamilyLedger(0.0, LINE_BITS, ())
    line = LINE_BITS + math.log2(len(ledgers))
    longest = max(len(entry.path) for entry in ledgers)
    paths = np.empty((len(ledgers), longest))
    for held, entry in zip(paths, ledgers, strict=True):
        path = entry.log2_e_values(line)
        held[: len(path)] = path
        held[len(path) :] = path[-1]
    average = np.logaddexp2.reduce(paths, axis=0) - math.log2(len(ledgers))
    named = tuple(i for i, entry in enumerate(ledgers) if entry.peak >= line)
    return FamilyLedger(float(average.max()), line, named)
