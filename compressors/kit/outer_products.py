"""Sums of outer products, token after token: the state of a cache that keeps sums."""

from __future__ import annotations

from typing import Any

from ...reductions.jit import njit


@njit(cache=True, nogil=True, error_model="numpy")
def add_outer_products(A: Any, B: Any, S: Any) -> None:
    """S += a_1 b_1^T, then += a_2 b_2^T, and so on: float32[m, r], float32[m, c], float32[r, c].

    Each number of S takes its summands in the order of the tokens and is rounded after each, so a
    stream that is cut anywhere gives the same bits. A row of S stays in the cache for all tokens.
    """
    for i in range(S.shape[0]):
        for t in range(A.shape[0]):
            for j in range(S.shape[1]):
                S[i, j] += A[t, i] * B[t, j]
