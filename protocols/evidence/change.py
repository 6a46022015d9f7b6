"""Did the compressor change during the attack? Messages of one algorithm are exchangeable.

Secrets and public coins are drawn afresh for every message, so what becomes of messages 1, 2, ...
of one algorithm, x_1, x_2, ..., is one sequence in random order: every order is equally likely.

**Claim (a conformal test martingale, Vovk et al. 2005; the bets are ours).** Let
r_t = #{i <= t : x_i >= x_t} be the rank of x_t from above, ties against it. If x_1, x_2, ... are
exchangeable, then for each s the product over t > s of

    1 - c + c (t/(t-s)) 1{r_t <= t-s},          c in [0, 1],

is at most a test supermartingale: Pr[it ever reaches b] <= 1/b.

*Proof.* Break ties by coins: the ranks r'_t <= r_t are then independent, r'_t uniform on 1..t
(Renyi 1962), and Pr[r'_t <= t-s | past ranks] = (t-s)/t. As
1{r_t <= t-s} <= 1{r'_t <= t-s}, the product is at most the same one of r', whose factors have
mean 1; Ville.   []

A change after message s, from which on all x_t are above all earlier ones, has r_t <= t-s always:
with c = 1 the product after T messages is C(T, s), the number of places where the s could have
been. The mixture over s, with weights 1/(s(s+1)), needs no guess of where; over x and -x and
over the shares of :mod:`.betting`, none of how.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..game.coins import CUT_EVERY
from .betting import SHARES, Float64

CHANGE_LEVEL = 1.0 - 1e-6
"""The probability that an unchanged algorithm is ever reported as changed: at most 10^-6."""


@dataclass(frozen=True)
class Change:
    """What was played is not one algorithm: the messages before and after ``after`` of them.

    ``error``: their fractions of wrong bits; ``rate``: their charged bits per secret bit.
    """

    after: int
    error: tuple[float, float]
    rate: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "after_messages": self.after,
            "bit_error": list(self.error),
            "bits_per_secret_bit": list(self.rate),
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """What happened, for people.

        >>> print(Change(31, (0.0, 0.25), (0.5, 0.25)).sentence()[:75])
        changed during the attack: error 0.0000 at M/N = 0.5 in the first 31 messag
        """
        (e, later), (rate, rate_later) = self.error, self.rate
        return (
            f"changed during the attack: error {e:.4f} at M/N = {rate:.3g} in the first "
            f"{self.after} messages, {later:.4f} at M/N = {rate_later:.3g} after them."
        )


def log_wealth_changed(x: Float64) -> tuple[Float64, int]:
    """ln wealth against "x_1, x_2, ... are exchangeable", float64[T] after each, and the best s.

    >>> wealth, after = log_wealth_changed(np.repeat([0.0, 1.0], [20, 40]))
    >>> after, bool(wealth[19] <= 0 < 13.9 < wealth[-1])
    (20, True)
    """
    T = len(x)
    if T < 2 or (x == x[0]).all():
        return np.zeros(T), 0
    t = np.arange(1, T + 1)
    path, best, after = np.full(T, -math.log(2 * T)), -math.inf, 0
    path += math.log(2)  # the splits that have not begun by T weigh 1/T, on either side
    for y in (x, -x):
        rank = np.tril(y[None, :] >= y[:, None]).sum(axis=1)
        for s in range(1, T):
            bets = t[s:] / (t[s:] - s) * (rank[s:] <= t[s:] - s)
            with np.errstate(divide="ignore"):
                logs = np.log(1.0 - SHARES[:, None] + SHARES[:, None] * bets)
            one = np.zeros(T)
            one[s:] = np.logaddexp.reduce(np.cumsum(logs, axis=1)) - math.log(len(SHARES))
            one -= math.log(2 * s * (s + 1))
            path = np.logaddexp(path, one)
            if one[-1] > best:
                best, after = float(one[-1]), s
    return path, after


def changed_after(errors: ArrayLike, charged: ArrayLike, played: ArrayLike) -> int | None:
    """After how many messages the compressor has changed, by error or by charged bits; else None.

    ``errors`` and ``charged`` float64[T]; ``played`` bool[T], false for a message that failed,
    which is told apart. Messages that may have been cut are left out: they are charged otherwise.
    """
    whole = np.asarray(played, dtype=bool)
    number = np.arange(len(whole))
    kept = number[whole & (number % CUT_EVERY != 0)]
    paths = [log_wealth_changed(np.asarray(x, dtype=np.float64)[kept]) for x in (errors, charged)]
    average = np.logaddexp.reduce([path for path, _ in paths], axis=0) - math.log(2)
    if not len(kept) or average.max() < -math.log(1.0 - CHANGE_LEVEL):
        return None
    _, after = max(paths, key=lambda found: float(found[0][-1]))
    return int(kept[after - 1]) + 1
