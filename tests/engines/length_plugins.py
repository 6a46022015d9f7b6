"""What two rows of the engines' table do to a cache, in NumPy and nothing else."""

from __future__ import annotations

import numpy as np


class Rows:
    def __init__(self, shape):
        self.K, self.V = [], []

    def append(self, q, k, v):
        self.K.append(np.array(k))
        self.V.append(np.array(v))

    def attend(self, q):
        K, V = self.held(np.array(self.K), np.array(self.V))
        w = K @ q
        w = np.exp(w - w.max())
        return (w @ V / w.sum()).astype(np.float32)


class Clipped(Rows):
    """Four bits with static scales: keys up to 1/8, which is what their numbers deviate by."""

    def held(self, K, V):
        return (np.clip(np.round(x * 7 / top), -8, 7) * top / 7 for x, top in ((K, 0.125), (V, 1)))


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
