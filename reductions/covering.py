"""Covering the unit ball: nets, clusters and how many of them there can be (Lemmas 13 and 14).

*Lemma 13* (paper): the unit ball of R^d has an eps-net of at most (1 + 2/eps)^d points. Proof, for
the greedy net too: its points are more than eps apart, so balls of radius eps/2 around them are
disjoint, and all lie in the ball of radius 1 + eps/2: N (eps/2)^d <= (1 + eps/2)^d. A greedy net of
any *subset* of the ball obeys it as well, by the same words.

*Definition 12* (paper, reconstructed): the covering number N(B, l2, eps) is the least number of
balls of radius eps that cover the unit ball B. It lies between what a packing needs and what a
lattice does (ours): a ball of radius eps holds at most one of any points more than 2 eps apart, and
its volume is eps^d times B's; the cubes of side 2 eps/sqrt(d) that meet B cover it, and each lies
in the ball of radius eps around its centre (:func:`lattice_cover`).

*Definition 10* (paper): keys are (m, delta)-clusterable if they fall into m classes with
|y - z| <= delta inside each. *Lemma 14* (reconstructed): any keys in the unit ball are. With
delta the distance to a class's *centre*, a greedy delta-net gives m <= (1 + 2/delta)^d. Read
literally, delta is the *diameter* of a class: a greedy net of radius delta/2 does, by the triangle
inequality, with m <= (1 + 4/delta)^d (ours; only the constant in the exponent changes).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, did_you_mean

Reading = Literal["radius", "diameter"]


def covering_limit(eps: float, d: int) -> float:
    """(1 + 2/eps)^d, eq. (18): no eps-separated set in the unit ball of R^d is larger.

    >>> covering_limit(0.5, 2)
    25.0
    """
    if not 0 < eps <= 1 or d < 1:
        raise BadInput(f"Lemma 13 needs 0 < eps <= 1 and d >= 1, not eps = {eps:g}, d = {d}.")
    return float((1 + 2 / eps) ** d)


def _net_radius(delta: float, reading: Reading) -> float:
    if reading not in ("radius", "diameter"):
        hint = did_you_mean(reading, ("radius", "diameter"))
        raise BadInput(
            f"The reading of Definition 10 must be radius or diameter, not '{reading}'.{hint}"
        )
    return delta if reading == "radius" else delta / 2


def clusters_limit(delta: float, d: int, reading: Reading = "diameter") -> float:
    """Lemma 14's m for keys in the unit ball: (1 + 2/delta)^d by radius, (1 + 4/delta)^d by
    diameter.

    >>> clusters_limit(1.0, 2), clusters_limit(1.0, 2, "radius")
    (25.0, 9.0)
    """
    return covering_limit(_net_radius(delta, reading), d)


def greedy_net(points: ArrayLike, radius: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One pass: a point farther than ``radius`` from every centre so far becomes a centre.

    ``points`` [n, d] -> (int64[m] rows of the centres, int64[n] each point's nearest centre at the
    time it came). Squared distances in float64. This is also how SubGen makes its clusters.

    >>> centres, owner = greedy_net([[0.0], [0.4], [1.0]], 0.5)
    >>> centres.tolist(), owner.tolist()
    ([0, 2], [0, 0, 1])
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or not len(array) or not radius >= 0:
        raise BadInput(f"A net needs points [n, d] and a radius >= 0, not {array.shape}, {radius}.")
    centres = np.empty_like(array)
    rows: list[int] = []
    owner = np.empty(len(array), dtype=np.int64)
    for i, point in enumerate(array):
        gaps = centres[: len(rows)] - point
        squares = np.einsum("ij,ij->i", gaps, gaps)
        nearest = int(squares.argmin()) if len(rows) else -1
        if nearest < 0 or squares[nearest] > radius * radius:
            centres[len(rows)] = point
            nearest = len(rows)
            rows.append(i)
        owner[i] = nearest
    return np.array(rows), owner


def lattice_cover(d: int, eps: float) -> NDArray[np.float64]:
    """Centres of balls of radius eps that cover the unit ball: float64[m, d], all in the ball.

    Cubes of side a = 2 eps/sqrt(d), half a diagonal of which is eps: of two lattices, with a centre
    or a corner at 0, the one of which fewer cubes have a point of norm below 1. (Points of norm 1
    are limits of such points, and the cubes are closed and finitely many.) A centre outside the
    ball is moved to its nearest point of the ball, which is convex: no point of the ball is farther
    from it then.

    >>> lattice_cover(1, 0.5).tolist()
    [[-0.5], [0.5]]
    """
    covering_limit(eps, d)
    side = 2 * eps / np.sqrt(d)
    found = []
    for shift in (0.0, 0.5):
        reach = int(np.ceil(1 / side + 0.5))
        line = side * (np.arange(-reach, reach + 1) + shift)
        grid = np.stack(np.meshgrid(*[line] * d, indexing="ij"), axis=-1).reshape(-1, d)
        least = np.square(np.maximum(np.abs(grid) - side / 2, 0.0)).sum(axis=1)
        # A cube that only touches the ball, up to rounding, is not needed.
        found.append(grid[least < 1 - 1e-12])
    centres = min(found, key=len)
    inside: NDArray[np.float64] = centres / np.maximum(
        np.linalg.norm(centres, axis=1, keepdims=True), 1.0
    )
    return inside


def clusters(
    points: ArrayLike, delta: float, reading: Reading = "diameter"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clusters of Definition 10 in one greedy pass: as :func:`greedy_net` returns them."""
    return greedy_net(points, _net_radius(delta, reading))


def largest_diameter(points: ArrayLike, owner: ArrayLike) -> float:
    """The largest distance between two points of one class; 0 where all classes are single.

    >>> largest_diameter([[0.0], [0.4], [1.0]], [0, 0, 1])
    0.4
    """
    array, label = np.asarray(points, dtype=np.float64), np.asarray(owner)
    worst = 0.0
    for one in np.unique(label):
        own = array[label == one]
        # Differences and not norms minus products: the latter lose small distances to rounding.
        for start in range(0, len(own), 256):
            gaps = own[start : start + 256, None, :] - own[None, :, :]
            worst = max(worst, float(np.einsum("ijk,ijk->ij", gaps, gaps).max()))
    return float(np.sqrt(worst))
