"""Betting on messages: e-processes for the mean of [0, 1] variables, and intervals from them.

Bits decoded from one message are dependent; messages are independent. So every statement about an
error rate counts messages: one number e_t in [0, 1], the fraction of wrong bits, a message.

*Above.* Against H0: E[e_t | past] <= m, a gambler who stakes the share c in [0, 1] of his wealth on
each message multiplies it by

    1 + (c/m)(e_t - m) = 1 - c + c e_t/m  >= 0,       of mean <= 1 under H0.

*Below.* Against H0: E[e_t | past] >= m, and so against "> m", the same bet on 1 - e_t:

    1 - (c/(1-m))(e_t - m) = 1 - c + c (1-e_t)/(1-m).

Products of such factors are test supermartingales, and so is a fixed mixture sum_j w_j prod_t(...)
over a grid of shares c_j (Waudby-Smith & Ramdas 2023 bet in this way; the grid and its weights are
ours). By Ville's inequality the wealth ever reaches 1/alpha with probability at most alpha,
whenever and however often one looks. c = 1 is the whole stake: right when messages agree with
each other, ruin after one message with e_t = 0 (above). The halved shares cover errors that come
in whole messages.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

SHARES = np.array([1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32])
ABOVE = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
"""Weights above: a constant error of 1/2 against m = 1/10 wins a factor 5 a message at c = 1, so
one bucket of 16 reaches 16/alpha = 320 after 5 messages (0.5 * 5^5 = 1562), and c = 1/2 alone,
which survives messages without an error, after 8 (0.1 * 3^8 = 656)."""
BELOW = np.array([0.8, 0.04, 0.04, 0.04, 0.04, 0.04])
"""Weights below: no error at all wins a factor 10/9 a message at m = 1/10 and c = 1, so the
wealth is at least 0.8 (10/9)^31 = 20.97 >= 20 after 31 messages: 32 decide at level .95."""


def log_wealth_above(e: ArrayLike, m: ArrayLike) -> Float64:
    """ln wealth after each message against "the mean is at most m": float64[T, ...].

    ``e`` float64[T, ...] in [0, 1], NaN where nothing was asked (no bet is placed); ``m`` in
    (0, 1), broadcast over the trailing axes. Falls as m grows: every factor 1 - c + c e/m does.
    """
    e = np.asarray(e, dtype=np.float64)
    return _log_mixture(e, np.asarray(m, dtype=np.float64), ABOVE)


def log_wealth_below(e: ArrayLike, m: ArrayLike) -> Float64:
    """ln wealth after each message against "the mean is at least m": float64[T, ...].

    Grows with m: every factor 1 - c + c (1-e)/(1-m) does.
    """
    e = np.asarray(e, dtype=np.float64)
    return _log_mixture(1.0 - e, 1.0 - np.asarray(m, dtype=np.float64), BELOW)


def _log_mixture(x: Float64, m: Float64, weights: Float64) -> Float64:
    if len(x) == 0:
        return np.zeros(x.shape)
    ratio = np.where(np.isnan(x), 1.0, x / m)
    shares = SHARES.reshape((-1,) + (1,) * x.ndim)
    with np.errstate(divide="ignore"):  # c = 1 and x = 0: ruin, ln 0 = -inf
        logs = np.cumsum(np.log(1.0 - shares + shares * ratio), axis=1)
    logs += np.log(weights).reshape(shares.shape)
    return np.asarray(np.logaddexp.reduce(logs, axis=0))


def interval(errors: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Anytime-valid two-sided interval for the mean error, from one fraction a message:
    float64[T].

    All p at which neither mixture, above or below, has reached 2/alpha (alpha = 1 - level) with
    the messages so far. *Coverage*: at the true mean each mixture ever reaches 2/alpha with
    probability at most alpha/2, so all intervals, after 1, 2, 3, ... messages, cover it together
    with probability at least ``level``. *It is an interval*: the wealth above falls with p and
    the wealth below grows (each factor does), so each side is found by bisection; an end is
    returned on its rejected side. *It holds the mean of the e_t*: there each product is at most
    1, its factors having mean 1 (AM-GM). *The order of messages does not matter.*

    Bounded variables whose law is unknown cost ln(2/alpha)/T or so even without any spread: no
    error in 32 messages gives [0, .115], in 256 messages [0, .0151].

    >>> [round(p, 4) for p in interval([0.0] * 32)]
    [0.0, 0.1147]
    >>> [round(p, 3) for p in interval([0.25] * 256, level=0.99)]
    [0.244, 0.266]
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"the level must lie strictly between 0 and 1, not {level!r}")
    return _interval(np.asarray(errors, dtype=np.float64).tobytes(), level)


@lru_cache(maxsize=1 << 12)
def _interval(errors: bytes, level: float) -> tuple[float, float]:
    """Of float64 numbers. Points, verdicts and claims ask for the same again and again."""
    e = np.frombuffer(errors)
    if len(e) == 0:
        return 0.0, 1.0
    needed = math.log(2.0 / (1.0 - level))
    # Wealth is only wanted after the last message: sums per share, not paths.
    with np.errstate(divide="ignore"):
        low = _edge(lambda p: _final(e, p, ABOVE) >= needed)
        high = 1.0 - _edge(lambda p: _final(1.0 - e, p, BELOW) >= needed)
    return low, high


def _final(x: Float64, m: float, weights: Float64) -> float:
    logs = np.log(1.0 - SHARES + SHARES * (x[:, None] / m)).sum(axis=0) + np.log(weights)
    return float(np.logaddexp.reduce(logs))


def _edge(rejected: Callable[[float], bool]) -> float:
    """The largest p found at which ``rejected`` holds; it holds up to some point, or never."""
    low, high = 0.0, 1.0
    for _ in range(54):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low


def adjusted_level(level: float, number: int) -> float:
    """The level of each of ``number`` intervals that hold together at ``level`` (Bonferroni).

    >>> round(adjusted_level(0.95, 5), 10)
    0.99
    """
    return 1.0 - (1.0 - level) / max(number, 1)
