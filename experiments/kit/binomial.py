"""Exact intervals for the probability behind a count of independent trials."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def clopper_pearson(counts: ArrayLike, trials: ArrayLike, level: float) -> NDArray[np.float64]:
    """Clopper and Pearson's two-sided intervals, each at ``level``: float64[..., 2].

    >>> clopper_pearson(300, 300, 0.95).round(4).tolist()
    [0.9878, 1.0]
    """
    from scipy.special import betaincinv

    k, T = np.asarray(counts, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    tail = (1 - level) / 2
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), T - k + 1, tail), 0.0)
    high = np.where(k < T, betaincinv(k + 1, np.maximum(T - k, 1), 1 - tail), 1.0)
    return np.stack([low, high], axis=-1)


def simultaneous(counts: ArrayLike, trials: ArrayLike, level: float) -> NDArray[np.float64]:
    """The intervals of a column of counts that hold together at ``level`` (Bonferroni): [rows, 2].

    The rows need not be independent of each other.
    """
    return clopper_pearson(counts, trials, 1 - (1 - level) / np.size(counts))
