"""A cache of one token, the one with the longest key; all others are merged into their mean."""

from __future__ import annotations

import numpy as np

from ...plugin.contract import Compressor, Float32


class LargestKey(Compressor):
    """Keeps the token whose key is longest (of equals the first) and the mean of all the others.

    Attends to the kept token and, as many times as it merged tokens, to the mean one. On the
    family of Theorem 19 that is exact attention, although only one token is kept: it reads every
    token when it comes, so the theorem, which counts reads, does not speak of it.

    State: the kept k and v, float32; the sums of the others', float64; their number.
    """

    def set_up(self) -> None:
        shape = self.shape
        self.seen = 0
        self.k = np.zeros(shape.d_k, dtype=np.float32)
        self.v = np.zeros(shape.d_v, dtype=np.float32)
        self.sum_k = np.zeros(shape.d_k)
        self.sum_v = np.zeros(shape.d_v)

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Keep the longer key, merge the other token."""
        if self.seen and float(k @ k) > float(self.k @ self.k):
            k, v, self.k, self.v = self.k, self.v, k.copy(), v.copy()
        elif not self.seen:
            self.k, self.v, self.seen = k.copy(), v.copy(), 1
            return
        self.sum_k = self.sum_k + k
        self.sum_v = self.sum_v + v
        self.seen += 1

    def attend(self, q: Float32) -> Float32:
        """Softmax over the kept token and the merged ones."""
        merged = max(self.seen - 1, 1)
        scores = np.array([q @ self.k, q @ (self.sum_k / merged)], dtype=np.float64)
        weights = np.exp(scores - scores.max()) * (1, self.seen - 1)
        output = (weights[0] * self.v + weights[1] * (self.sum_v / merged)) / weights.sum()
        return np.asarray(output, dtype=np.float32)
