"""The Numba kernel of top-k attention: one row of scores at a time, the k highest attended to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....reductions.jit import njit


@njit(cache=True, nogil=True)
def attend_to_highest(S: Any, own: Any, own_V: Any, V: Any, k: Any, out: Any) -> None:
    """Softmax over every score that is not below the row's k-th highest; ties at it all count.

    Args:
        S: float32[m, t], scores with the stored tokens.
        own: float32[m], score with the row's own token; float32[0] where there is none.
        own_V: float32[m, d_v], its value; float32[0, d_v] where there is none.
        V: float32[t, d_v], stored values.
        k: from 1 on; with fewer tokens than k, all count.
        out: float32[m, d_v], written. Weights and sums are float64.
    """
    m, t = S.shape
    d_v = out.shape[1]
    best = np.empty(k, np.float32)  # ascending: best[0] is the k-th highest so far
    sums = np.empty(d_v, np.float64)
    for r in range(m):
        best[:] = np.float32(-np.inf)
        lowest = best[0]
        for j in range(t + 1):
            if j == t:
                if len(own) == 0:
                    break
                score = own[r]
            else:
                score = S[r, j]
            if score > lowest:
                at = 0
                while at + 1 < k and best[at + 1] < score:
                    best[at] = best[at + 1]
                    at += 1
                best[at] = score
                lowest = best[0]
        top = np.float64(best[k - 1])
        total = 0.0
        sums[:] = 0.0
        if len(own) and own[r] >= lowest:
            total = math.exp(np.float64(own[r]) - top)
            for c in range(d_v):
                sums[c] = total * np.float64(own_V[r, c])
        for j in range(t):
            if S[r, j] >= lowest:
                weight = math.exp(np.float64(S[r, j]) - top)
                total += weight
                for c in range(d_v):
                    sums[c] += weight * np.float64(V[j, c])
        for c in range(d_v):
            out[r, c] = sums[c] / total
