"""The self-balancing walk over a Gram matrix: one sign a vector."""

from __future__ import annotations

from typing import Any

from ....reductions.jit import njit


@njit(cache=True, nogil=True, error_model="numpy")
def balancing_walk(gram: Any, c: Any, coins: Any, signs: Any) -> None:
    """Signs of vectors u_1, u_2, .. so that w = sum of sign times vector stays short.

    Vector i is added with probability 1/2 - <w, u_i>/(2c), cut to [0, 1], else subtracted
    (Alweiss, Liu, Sawhney 2021).

    Args:
        gram: float64[t, t], the inner products.
        c: the walk's constant.
        coins: float64[t] in [0, 1).
        signs: float64[t], written.
    """
    for i in range(len(signs)):
        lean = 0.0
        for j in range(i):
            lean += gram[i, j] * signs[j]
        signs[i] = 1.0 if coins[i] < 0.5 - lean / (2.0 * c) else -1.0
