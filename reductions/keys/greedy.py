"""Greedy keys (ours): from a pool of random unit vectors, always the one farthest from those taken.

The pool is the first 16,384 jl keys of the same seed. The first is taken; then, again and again,
the one whose largest inner product with a taken key is least (farthest-point insertion, Gonzalez
1985), the earliest where there are several. So a larger n extends a smaller one.

For the same keys on every machine the inner products compared are those of the pool rounded to
integers, 2^11 times larger: any partial sum of products is at most the product of two lengths,
about 2^22, so float32 adds them exactly, in whatever order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from .jl import gaussian_keys

#: how many candidates
POOL = 16384
#: how many keys may be chosen, a quarter of them
LARGEST = 4096


def farthest_first(pool: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """Int64[n]: the candidates in the order in which they are taken."""
    grid = np.rint(pool * np.float32(2048))
    nearest = np.full(len(grid), -np.inf, dtype=np.float32)
    chosen = np.zeros(n, dtype=np.int64)
    for i in range(n):
        at = int(nearest.argmin()) if i else 0
        chosen[i] = at
        np.maximum(nearest, grid @ grid[at], out=nearest)
        nearest[at] = np.inf
    return chosen


def greedy_keys(n: int, d: int, seed: int) -> NDArray[np.float32]:
    """Float32[n, d] unit keys; BadInput for n > 4096."""
    if n > LARGEST:
        raise BadInput(f"There are at most {LARGEST} greedy keys, not {n}: use n <= {LARGEST}.")
    pool = gaussian_keys(POOL, d, seed, normalise=True)
    return pool[farthest_first(pool, n)]
