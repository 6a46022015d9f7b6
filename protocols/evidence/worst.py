"""The worst bucket or row, if they differ by more than noise.

This is descriptive and not part of the verdict: the paired t test of one column against the mean
of the others over messages, which are independent, at Bonferroni's level for all columns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .betting import Float64


def distinct_worst(errors: Float64, scores: Float64, level: float) -> int | None:
    """The column with the highest of ``scores``, if its errors are above the other columns' mean.

    ``errors`` float64[T, columns], NaN where nothing was asked; ``scores`` float64[columns]. None
    where the columns do not differ at ``level``, and before two messages.

    >>> errors = np.zeros((4, 16))
    >>> errors[:, 3] = 0.5
    >>> distinct_worst(errors, errors.mean(axis=0), 0.95), distinct_worst(errors, errors[0] * 0, 1)
    (3, None)
    """
    if errors.size == 0:
        return None
    column = int(np.argmax(scores))
    here = ~np.isnan(errors[:, column])
    others = np.delete(errors[here], column, axis=1)
    asked = ~np.isnan(others)
    some = asked.any(axis=1)
    rest = np.where(asked, others, 0.0).sum(axis=1)[some] / asked.sum(axis=1)[some]
    above = errors[here, column][some] - rest
    T = len(above)
    if T < 2 or above.mean() <= 0:
        return None
    spread: Any = above.std(ddof=1) / math.sqrt(T)
    chance = tail(T - 1, float(above.mean() / spread)) if spread > 0 else 0.0
    return column if chance * errors.shape[1] <= 1.0 - level else None


def tail(degrees: int, t: float) -> float:
    """Pr[Student's t of so many degrees of freedom > t], for t >= 0; to 1e-14 absolutely.

    The finite series for whole degrees (Abramowitz and Stegun, 26.7.3 and 26.7.4): with
    theta = atan(t / sqrt(degrees)) and c = cos^2 theta, Pr[|T| <= t] is

        sin theta (1 + 1/2 c + 1 3/(2 4) c^2 + ...)                              degrees even
        2/pi (theta + sin theta cos theta (1 + 2/3 c + 2 4/(3 5) c^2 + ...))     degrees odd

    with floor(degrees / 2) terms.

    >>> round(tail(1, 1.0), 12), round(tail(2, math.sqrt(2)), 12)  # Cauchy; (1 - sqrt(1/2)) / 2
    (0.25, 0.146446609407)
    """
    theta, odd = math.atan2(t, math.sqrt(degrees)), degrees % 2
    square, term, total = math.cos(theta) ** 2, 1.0, 0.0
    for i in range(degrees // 2):
        total += term
        term *= square * (2 * i + 1 + odd) / (2 * i + 2 + odd)
    within = math.sin(theta) * total
    if odd:
        within = 2.0 / math.pi * (theta + math.cos(theta) * within)
    return (1.0 - within) / 2.0
