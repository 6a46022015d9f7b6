"""Honest lossy caches of many kinds, of which an examination must say nothing.

A cache with what people combine: bits, a group of channels or tokens that share a scale, symmetric
or with a zero point, a rotation, the newest tokens in full, a window, sinks, eviction by norm.
"""

from __future__ import annotations

import numpy as np


def rounded(x, bits, symmetric):
    """Numbers of the last axis rounded with a scale of their own (2 bits and more)."""
    x = np.asarray(x, np.float32)
    if symmetric:
        top = 2 ** (bits - 1) - 1
        step = np.maximum(np.abs(x).max(-1, keepdims=True), 1e-12) / top
        return np.clip(np.round(x / step), -top, top) * step
    low = x.min(-1, keepdims=True)
    step = np.maximum(np.ptp(x, axis=-1)[..., None], 1e-12) / (2**bits - 1)
    return np.round((x - low) / step) * step + low


class Honest:
    def __init__(
        self, shape, seed, bits=4, group=0, by_channel=False, symmetric=False, rotate=False,
        residual=0, window=0, sinks=0, kept=0,
    ):  # fmt: skip
        self.bits, self.group, self.by_channel, self.symmetric = bits, group, by_channel, symmetric
        self.residual, self.window, self.sinks, self.kept = residual, window, sinks, kept
        rng = np.random.default_rng(seed)
        self.turn = {
            d: np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32) if rotate else None
            for d in {shape.d_k, shape.d_v}
        }
        self.K, self.V, self.rk, self.rv = [], [], [], []

    def squeeze(self, rows):
        """[m, d] rounded: groups of channels of a token, or all m tokens of a channel."""
        turn = self.turn[rows.shape[1]]
        x = rows if turn is None else rows @ turn
        if self.by_channel:
            x = rounded(x.T, self.bits, self.symmetric).T
        else:
            size = self.group or x.shape[1]
            parts = [x[:, i : i + size] for i in range(0, x.shape[1], size)]
            x = np.hstack([rounded(part, self.bits, self.symmetric) for part in parts])
        return x if turn is None else x @ turn.T

    def append(self, q, k, v):
        self.rk.append(np.array(k))
        self.rv.append(np.array(v))
        step = 16 if self.by_channel else 1
        while len(self.rk) >= self.residual + step:
            self.K += list(self.squeeze(np.array(self.rk[:step])))
            self.V += list(self.squeeze(np.array(self.rv[:step])))
            del self.rk[:step], self.rv[:step]
        while self.window and len(self.K) > self.sinks + self.window:
            del self.K[self.sinks], self.V[self.sinks]
        while self.kept and len(self.K) > self.kept:
            worst = int(np.argmin([np.abs(v).sum() for v in self.V]))
            del self.K[worst], self.V[worst]

    def attend(self, q):
        K, V = np.array([*self.K, *self.rk]), np.array([*self.V, *self.rv])
        s = K @ q
        w = np.exp(s - s.max())
        return (w @ V / w.sum()).astype(np.float32)


def drawn(number):
    """The parameters of cache ``number``."""
    rng = np.random.default_rng([77, number])
    by_channel = bool(rng.integers(2))
    symmetric = bool(rng.integers(2))
    found = {
        "bits": int(rng.integers(3 if symmetric else 2, 9)),
        "group": 0 if by_channel else int(rng.choice([0, 8, 16, 32])),
        "by_channel": by_channel,
        "symmetric": symmetric,
        "rotate": bool(rng.integers(2)),
        "residual": int(rng.choice([0, 0, 8, 32, 64])),
    }
    how = rng.integers(4)
    if how == 1:
        found |= {"window": int(rng.integers(20, 100)), "sinks": int(rng.choice([0, 4]))}
    if how == 2:
        found |= {"kept": int(rng.integers(20, 100))}
    return found
