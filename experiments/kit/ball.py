"""Uniform points of a ball, for the experiments on covering and clustering."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ball(rng: np.random.Generator, n: int, d: int, radius: float = 1.0) -> NDArray[np.float64]:
    """Float64[n, d] uniform in the ball: a Gaussian direction, the norm radius U^(1/d)."""
    points = rng.normal(size=(n, d))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(radius * points * rng.random((n, 1)) ** (1 / d))
