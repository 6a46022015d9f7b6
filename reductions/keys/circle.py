"""Keys spread evenly over a circle or a sphere, for a fixed dimension and many tokens (ours).

*circle*: k_l = (cos(2 pi l / n), sin(2 pi l / n)). Every key sees the same picture, so with
R = C|k|^2 its interference is S' = sum_{l=1}^{n-1} e^{-R (1 - cos(2 pi l / n))}
(``low_dimension.circle_interference``): any n works, at the price of R ~ ln(2 rho) n^2 / (2 pi^2).

*sphere*: the Fibonacci lattice on S^2 (Gonzalez 2010), z_l = 1 - (2l + 1)/n, longitude
pi (3 - sqrt 5) l. Nearly even, not exactly: keys near the poles see more of the others.

Both are computed in float64, rounded to float32, and zero padded from 2 or 3 to d coordinates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput

_GOLDEN = np.pi * (3 - np.sqrt(5))


def circle_points(n: int) -> NDArray[np.float64]:
    """Float64[n, 2]: n equally spaced points of the unit circle."""
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def sphere_points(n: int) -> NDArray[np.float64]:
    """Float64[n, 3]: the Fibonacci lattice on the unit sphere.

    >>> sphere_points(2)[:, 2].tolist()
    [0.5, -0.5]
    """
    l = np.arange(n)
    z = 1 - (2 * l + 1) / n
    radius, longitude = np.sqrt(1 - z * z), _GOLDEN * l
    return np.stack([radius * np.cos(longitude), radius * np.sin(longitude), z], axis=1)


def spread_keys(name: str, n: int, d: int) -> NDArray[np.float32]:
    """Float32[n, d] of the family "circle" or "sphere"; BadInput where d is too small for it."""
    points = circle_points(n) if name == "circle" else sphere_points(n)
    own = points.shape[1]
    if d < own:
        raise BadInput(f"{name} keys need {own} coordinates, not {d}: use d >= {own}.")
    rows = np.zeros((n, d), dtype=np.float32)
    rows[:, :own] = points
    return rows
