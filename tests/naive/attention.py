"""Plain NumPy twins of the attention kernels, and the float64 oracle of the all-index decode."""

from __future__ import annotations

import numpy as np


def oracle(Q, Kq, Vq, K, V):
    """float64[m, d_v]: every row's attention over K, V and (unless Kq is None) its own token."""
    Q, K, V = (np.asarray(a, dtype=np.float64) for a in (Q, K, V))
    rows = []
    for r, q in enumerate(Q):
        k = K if Kq is None else np.vstack([K, np.asarray(Kq[r], dtype=np.float64)])
        v = V if Vq is None else np.vstack([V, np.asarray(Vq[r], dtype=np.float64)])
        scores = k @ q
        weights = np.exp(scores - scores.max())
        rows.append(weights @ v / weights.sum())
    return np.array(rows).reshape(len(Q), V.shape[1])


def bound_tile(S, first, top, argtop, total):
    """Twin of the kernel, in float64 and with the true 2^x in place of the chord."""
    for r, row in enumerate(S.astype(np.float64)):
        if row.max() > top[r]:
            total[r] *= 2.0 ** (float(top[r]) - row.max())
            top[r] = row.max()
            argtop[r] = first + np.flatnonzero(row == row.max())[-1]
        total[r] += np.exp2(row - float(top[r])).sum()


def weigh_tile(S, top, total, O):
    """Twin of the kernel, in float64 inside a row."""
    for r in range(len(S)):
        row = S[r].astype(np.float64)
        m = max(float(top[r]), row.max())
        O[r] *= 2.0 ** (float(top[r]) - m)
        total[r] = total[r] * 2.0 ** (float(top[r]) - m) + np.exp2(row - m).sum()
        top[r] = m
        S[r] = np.exp2(row - m)


def settle_rows(V, argtop, rest, theta, low, high, bits):
    """Twin of the kernel, line by line from the proof in ``attention.next_bits``."""
    undecided = []
    for r in range(len(bits)):
        if argtop[r] < 0:
            undecided.append(r)
            continue
        gap = V[argtop[r]].astype(np.float64) - theta[r]
        one = gap > rest[r] * max(theta[r] - low, 0.0)
        zero = -gap >= rest[r] * max(high - theta[r], 0.0)
        bits[r] = one
        if not (one | zero).all():
            undecided.append(r)
    return np.array(undecided, dtype=np.int64)
