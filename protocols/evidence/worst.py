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
    from scipy.special import stdtr

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
    chance = float(stdtr(T - 1, -above.mean() / spread)) if spread > 0 else 0.0
    return column if chance * errors.shape[1] <= 1.0 - level else None
