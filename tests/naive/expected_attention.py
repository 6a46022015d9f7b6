"""Expected Attention's weights as the mean square of all n x n scores, not by the covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def expected_weights(Q: NDArray[np.float32], K: NDArray[np.float32]) -> NDArray[np.float64]:
    """E exp <q, k> of a Gaussian query, normalised: float64[n] of float32[n, d]."""
    queries, keys = Q.astype(np.float64), K.astype(np.float64)
    scores = keys @ (queries - queries.mean(axis=0)).T
    logs = keys @ queries.mean(axis=0) + np.square(scores).mean(axis=1) / 2
    weights = np.exp(logs - logs.max())
    found: NDArray[np.float64] = weights / weights.sum()
    return found
