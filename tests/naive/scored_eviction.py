"""Plain twins of the policies that evict by attention: lists of tokens, all weights anew each step.

Each returns the tokens held after the stream, oldest first, and what the policy knows of them.
"""

from __future__ import annotations

import numpy as np


def weights(q, K, held):
    scores = [
        float(np.float32(np.dot(q.astype(np.float64), K[t].astype(np.float64)))) for t in held
    ]
    powers = np.exp(np.array(scores) - max(scores))
    return powers / powers.sum()


def h2o(Q, K, slots, recent):
    held, heavy = [], {}
    for t in range(len(K)):
        if len(held) == slots:
            out = min(held[: slots - recent], key=lambda one: heavy[one])  # the first of equal ones
            held.remove(out)
        held.append(t)
        heavy[t] = 0.0
        for one, weight in zip(held, weights(Q[t], K, held), strict=True):
            heavy[one] += weight
    return held, [heavy[one] for one in held]


def tova(Q, K, slots):
    held, out = [], None
    for t in range(len(K)):
        if len(held) == slots:
            held.remove(out)
        held.append(t)
        out = held[int(np.argmin(weights(Q[t], K, held)))]
    return held, held.index(out)


def scissorhands(Q, K, slots, recent, drop, window):
    held, low = [], []  # low: for each query the tokens that it found unimportant
    for t in range(len(K)):
        if len(held) == slots:
            held = [one for one in held if one not in unimportant(held, low, recent, drop, window)]
        held.append(t)
        found = weights(Q[t], K, held)
        low.append({o for o, w in zip(held, found, strict=True) if w < 1 / len(held) - 1e-12})
    return held, unimportant(held, low, recent, drop, window) if len(held) == slots else []


def unimportant(held, low, recent, drop, window):
    counts = {one: sum(one in query for query in low[-window:]) for one in held}
    older = held[: len(held) - recent]
    return sorted(older, key=lambda one: -counts[one])[:drop]  # sorted is stable: oldest first


def persistent(n=64, d=16, heavy=(5, 17, 23, 40), seed=0):
    """A stream in which all queries attend to the same few tokens, and a question like them.

    The weight of a heavy token is e^10 that of another one, as <q, k> = 10 and 0.
    """
    rng = np.random.default_rng(seed)
    Q, K = np.zeros((2, n + 1, d), dtype=np.float32)
    K[:, 1:] = rng.standard_normal((n + 1, d - 1)) / 4
    K[list(heavy), 0] = 5
    Q[:, 0] = 2
    V = rng.choice(np.float32([0, 1]), (n + 1, d))
    return Q, K, V
