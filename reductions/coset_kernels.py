"""The kernels of attention over cosets of RM(1,m): a Walsh transform, values in, outputs out."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import njit

_FAST = {"contract", "nnan", "ninf", "nsz", "arcp"}


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def walsh(A: Any) -> None:
    """Replace each u = A[s, :, j] by its Walsh transform, sum_a (-1)^{a.x} u(a).

    Args:
        A: float64[blocks, 2^m, w], C-contiguous; row a of a block holds u(a), then row x the
            transform at x.
    """
    d = A.shape[1]
    for s in range(A.shape[0]):
        block = A[s]
        half = 1
        # Two steps at a time: half as many loads and stores. Rows by name, or LLVM fears overlap.
        while 2 * half < d:
            for start in range(0, d, 4 * half):
                for i in range(start, start + half):
                    r0, r1 = block[i], block[i + half]
                    r2, r3 = block[i + 2 * half], block[i + 3 * half]
                    for j in range(A.shape[2]):
                        x0, y0 = r0[j] + r1[j], r0[j] - r1[j]
                        x1, y1 = r2[j] + r3[j], r2[j] - r3[j]
                        r0[j], r1[j] = x0 + x1, y0 + y1
                        r2[j], r3[j] = x0 - x1, y0 - y1
            half *= 4
        if half < d:
            for i in range(half):
                r0, r1 = block[i], block[i + half]
                for j in range(A.shape[2]):
                    r0[j], r1[j] = r0[j] + r1[j], r0[j] - r1[j]


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def place(V: Any, coset: Any, linear: Any, sign: Any, even: Any, odd: Any) -> None:
    """Add each stored value to its place: as it is in ``even``, with its key's sign in ``odd``.

    Args:
        V: float32[t, w].
        coset: int64[t], linear: int64[t], sign: float64[t]: the place of each key.
        even: float64[cosets, 2^m, w], added to. odd: the same.
    """
    for l in range(V.shape[0]):
        plain, signed = even[coset[l], linear[l]], odd[coset[l], linear[l]]
        for j in range(V.shape[1]):
            v = np.float64(V[l, j])
            plain[j] += v
            signed[j] += sign[l] * v


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def gather(
    even: Any, odd: Any, coset: Any, linear: Any, sign: Any, same: Any, opposite: Any, V: Any,
    own: Any, weights: Any, out: Any,
) -> None:  # fmt: skip
    """Each row's output: the sum over all cosets, its own key, the opposite key, its own token.

    Args:
        even, odd: float64[cosets, 2^m, w], the sums with even and odd weights.
        coset, linear, sign: the place of each query.
        same, opposite: int64[m], the stored key that is the query's, its negative; -1: none.
        V: float32[t, w].
        own: float32[m, w]; or of width 0: there is none.
        weights: float64[m, 4], of the four parts.
        out: float32[m, w], written.
    """
    for r in range(out.shape[0]):
        plain, signed, c = even[coset[r], linear[r]], odd[coset[r], linear[r]], sign[r]
        every, heavy, light, mine = weights[r]
        # Where there is no such key the weight is 0.
        key, negative = V[max(same[r], 0)], V[max(opposite[r], 0)]
        for j in range(out.shape[1]):
            o = every * (plain[j] + c * signed[j])
            o += heavy * key[j] + light * negative[j]
            if own.shape[1] > 0:
                o += mine * own[r, j]
            out[r, j] = np.float32(o)
