"""Algorithm 2 for a block of queries: one lazy Gumbel sampler a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....reductions.jit import njit
from ....reductions.lazy_gumbel import draw_lazily


@njit(cache=True, nogil=True, error_model="numpy")
def count_winners(S: Any, inside: Any, seed: Any, draws: Any, W: Any) -> None:
    """How often each token of each row is drawn, in ``draws`` draws with the same coins a row.

    Args:
        S: float64[m, n], finite scores.
        inside: bool[m, n], the row's top set, not empty.
        seed: uint64, the coins.
        draws: how many.
        W: float32[m, n], zeros; the counts are added.
    """
    m, n = S.shape
    winners, lazies = np.empty(draws, np.int64), np.empty(draws, np.int64)
    top, outside = np.empty(n, np.int64), np.empty(n, np.int64)
    for r in range(m):
        a = b = 0
        for t in range(n):
            if inside[r, t]:
                top[a] = t
                a += 1
            else:
                outside[b] = t
                b += 1
        draw_lazily(S[r], top[:a], outside[:b], seed, winners, lazies)
        for i in range(draws):
            W[r, winners[i]] += np.float32(1.0)
