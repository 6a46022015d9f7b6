"""What two rows of the engines' table do to a cache, in NumPy and nothing else."""

from __future__ import annotations

import numpy as np
from scipy.linalg import hadamard
from scipy.stats import norm


class Rows:
    """Codes each row once, when it comes; some look at all rows at each question."""

    def __init__(self, shape):
        self.K, self.V = [], []

    def append(self, q, k, v):
        k, v = self.coded(k, v)
        self.K.append(k)
        self.V.append(v)

    def coded(self, k, v):
        return k.copy(), v.copy()

    def held(self, K, V):
        return K, V

    def attend(self, q):
        K, V = self.held(np.array(self.K), np.array(self.V))
        w = K @ q
        w = np.exp(w - w.max())
        return (w @ V / w.sum()).astype(np.float32)


class Clipped(Rows):
    """Four bits with static scales: keys up to 1/8, which is what their numbers deviate by."""

    def coded(self, k, v):
        return (np.clip(np.round(x * 7 / top), -8, 7) * top / 7 for x, top in ((k, 0.125), (v, 1)))


class HalfChannels(Rows):
    """The newest half of the tokens, of which half of the channels of keys are zero."""

    def __init__(self, shape):
        super().__init__(shape)
        self.most = shape.tokens // 2 + 1

    def append(self, q, k, v):
        super().append(q, k, v)
        del self.K[: -self.most], self.V[: -self.most]

    def held(self, K, V):
        return np.where(np.argsort(np.argsort((K * K).sum(axis=0))) < K.shape[1] // 2, 0, K), V


def _lloyd_max(bits):
    """The levels of least squared error for a normal number: each the mean of its cell."""
    levels = np.linspace(-2.5, 2.5, 2**bits)
    for _ in range(500):
        ends = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
        levels = -np.diff(norm.pdf(ends)) / np.diff(norm.cdf(ends))
    return levels.astype(np.float32)


FOUR_BITS = _lloyd_max(4)


class Polar(Rows):
    """A fixed Hadamard rotation, the norm apart, four bits a number."""

    def __init__(self, shape):
        super().__init__(shape)
        d = shape.d_k
        self.H = (hadamard(d) / np.sqrt(d)).astype(np.float32)
        self.levels = FOUR_BITS / np.sqrt(d)

    def coded(self, k, v):
        return self.turned(k), self.turned(v)

    def turned(self, x):
        length = np.linalg.norm(x) + 1e-10
        between = (self.levels[1:] + self.levels[:-1]) / 2
        return self.levels[np.searchsorted(between, x / length @ self.H)] @ self.H * length
