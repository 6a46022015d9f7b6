r"""Interference of every key in float32, from half of the Gram matrix, between two bounds (ours).

S'_i(C) = e^{-C|k_i|^2} sum_{l != i} e^{C<k_l,k_i>} (``interference``) has n^2 terms, and term (i,l)
is term (l,i) but for the factor in front: a tile of the products on one side of the diagonal gives
its sums along rows to S'_i and those along columns to S'_l. In float32 that is a quarter of the
work at most; where a comparison is not decided by the bounds, float64 decides it.

*The bounds.* Let u = 2^-24, m = max |k_i|^2 and B = C m. What is computed is <fl(C k_i), k_l> - B,
rounded: the product, summed in any order, is off by at most (d + 1) u B while d^2 u <= 1, the
difference by 2 u B. It stands for C<k_i,k_l>, u B away, and for <fl(C k_l), k_i>, 2 u B away;
C |k_i|^2 stands for <fl(C k_i), k_i> as well, u B away. So for C k_i and for the float32 query
alike, of row i or l, an exponent is off by at most x = (d + 6) u B. An exponential of NumPy is off
by 4 u or, below 2^-126, by 2^-126; a float32 sum of a tile's T = 512 terms by at most T u of
itself, and tiles are added in float64. Hence with the sum s_i and e_i = e^{B - C|k_i|^2}

    e^{-x-c} s_i e_i <= S'_i <= e^{x+c} s_i e_i + n 2^-126 e_i,        c = 1e-4 > (T + 8) u.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .blas import one_thread

Floats = NDArray[np.float64]

_TILE = 512
_SUMS = 1e-4
#: from here on the bounds are too far apart to be of use
_LOOSE = 0.01
_HIGHEST = 600.0


def interference_bounds(rows: NDArray[np.float32], C: float) -> tuple[Floats, Floats] | None:
    """Two float64[n], the bounds above, for C k_i and fl(C k_i) alike; None where they are loose.

    Args:
        rows: float32[n, d].
        C: the scale, positive.

    >>> low, high = interference_bounds(np.eye(3, dtype=np.float32), 2.0)
    >>> bool((low <= 2 * np.exp(-2.0)).all() and (2 * np.exp(-2.0) <= high).all())
    True
    """
    n, d = rows.shape
    norms = np.square(rows, dtype=np.float64).sum(axis=1)
    reach = C * float(norms.max())
    x = (d + 6) * 2.0**-24 * reach + _SUMS
    above = reach - C * norms
    if not (x < _LOOSE and above.max() < _HIGHEST):
        return None
    queries = (C * rows.astype(np.float64)).astype(np.float32)
    sums = np.zeros(n)
    room = np.empty((_TILE, _TILE), dtype=np.float32)
    for first in range(0, n, _TILE):
        ours = queries[first : first + _TILE]
        for other in range(first, n, _TILE):
            theirs = rows[other : other + _TILE]
            tile = room[: len(ours), : len(theirs)]
            with one_thread:
                np.matmul(ours, theirs.T, out=tile)
            tile -= np.float32(reach)
            np.exp(tile, out=tile)
            if other == first:
                np.fill_diagonal(tile, 0.0)
            else:
                sums[other : other + _TILE] += tile.sum(axis=0)
            sums[first : first + _TILE] += tile.sum(axis=1)
    sums *= np.exp(above)
    return sums * np.exp(-x), sums * np.exp(x) + n * 2.0**-126 * np.exp(above)


def most(low: Floats, high: Floats, count: int) -> NDArray[np.int64]:
    """The numbers of all i that can be among the ``count`` largest, where low_i <= f_i <= high_i.

    >>> most(np.array([1.0, 2.0, 3.0]), np.array([2.5, 2.2, 3.0]), 2).tolist()
    [0, 1, 2]
    """
    count = min(count, len(low))
    return np.flatnonzero(high >= np.partition(low, -count)[-count])
