"""Plain NumPy twins of the coset kernels, from their definitions."""

from __future__ import annotations

import numpy as np


def characters(d):
    """float64[d, d]: (-1)^{a.x}, a.x the parity of the bits that a and x share."""
    return np.array([[(-1.0) ** bin(a & x).count("1") for x in range(d)] for a in range(d)])


def walsh(A):
    H = characters(A.shape[1])
    for block in A:
        block[:] = H @ block


def place(V, coset, linear, sign, even, odd):
    for v, s, a, c in zip(V.astype(np.float64), coset, linear, sign, strict=True):
        even[s, a] += v
        odd[s, a] += c * v


def gather(even, odd, coset, linear, sign, same, opposite, V, own, weights, out):
    for r, (every, heavy, light, mine) in enumerate(weights):
        at = coset[r], linear[r]
        o = every * (even[at] + sign[r] * odd[at]) + mine * own[r].astype(np.float64)
        if same[r] >= 0:
            o = o + heavy * V[same[r]].astype(np.float64)
        if opposite[r] >= 0:
            o = o + light * V[opposite[r]].astype(np.float64)
        out[r] = o
