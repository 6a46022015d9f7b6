"""Kernel attention as a recurrence: sums of positive features of the keys, with their values."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ...kit.blockwise import Blockwise, Own
from ...kit.distinct_rows import distinct_rows
from ...kit.outer_products import add_outer_products
from ...kit.state import State, check_fits
from ...plugin.contract import Float32

Float64 = NDArray[np.float64]
_FLOAT32 = np.dtype(np.float32)
#: tokens whose features stand side by side for a moment
_BLOCK = 256


def features_in_budget(budget_bits: int | None, d_v: int) -> int | None:
    """How many features fit, each with z_i and S_i in fp32; None without a budget.

    >>> features_in_budget(32 * (1 + 3 * 5), 4)
    3
    """
    return None if budget_bits is None else max(0, (budget_bits // 32 - 1) // (d_v + 1))


class FeatureSums(Blockwise):
    """S = sum phi(k) v^T and z = sum phi(k), both times e^{-M}; the answer is phi(q) S / phi(q) z.

    Subclasses give the logarithm of phi > 0. M is the largest logarithm met in a key: nothing
    overflows, and the answer, taken with logarithms, never divides by 0. Tokens are added one by
    one, so that a stream cut anywhere gives the same bits. State: M, z, S in fp32; empty NaN.
    """

    def hold(self, features: int) -> None:
        """Make the empty state for so many features; raise BudgetTooSmall if it does not fit."""
        self.need(32 * (1 + features * (self.shape.d_v + 1)))
        self.features = features
        self.state = State(
            top=((1,), np.float32),
            z=((features,), np.float32),
            s=((features, self.shape.d_v), np.float32),
        )
        self.message_bytes = self.state.nbytes

    @abstractmethod
    def log_key(self, k: Float64) -> Float64:
        """Log phi of one key: float64[features]."""

    @abstractmethod
    def log_queries(self, Q: Float64) -> Float64:
        """Log phi of each query, up to a constant a query: float64[m, features]."""

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples in order.

        Raises:
            BadInput: a number is NaN or infinite.
        """
        for block in (K, V):
            check_fits(np.asarray(block), _FLOAT32, type(self).__name__)
        keys, values = np.asarray(K, dtype=np.float64), np.asarray(V, dtype=np.float32)
        for start in range(0, len(keys), _BLOCK):
            some = slice(start, start + _BLOCK)
            self._add(np.stack([self.log_key(k) for k in keys[some]]), values[some])

    def _add(self, logs: Float64, values: Float32) -> None:
        """Add tokens, float64[b, features] and float32[b, d_v], one after another.

        M is the same between two tokens that raise it, so these tokens are one call of the kernel.
        """
        top, z, s = self.state["top"], self.state["z"], self.state["s"]
        highest = logs.max(axis=1)
        before = np.float32(-np.inf) if np.isnan(top[0]) else top[0]
        # Rounded as the state holds it: what a token must exceed is the stored M.
        tops = np.maximum.accumulate(np.append(before, highest.astype(np.float32)))
        raises = np.flatnonzero(highest > tops[:-1])
        for start, end in pairwise((*sorted({0, *raises}), len(logs))):
            if highest[start] > tops[start]:
                old = float(tops[start])
                top[0] = highest[start]
                factor = np.float32(np.exp(old - float(top[0])))
                if old == -np.inf:
                    z[...], s[...] = 0, 0
                z *= factor
                s *= factor
            phi = np.exp(logs[start:end] - float(top[0])).astype(np.float32)
            add_outer_products(phi, np.ones((len(phi), 1), dtype=np.float32), z[:, None])
            add_outer_products(phi, values[start:end], s)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        for block in (K, V):
            check_fits(np.asarray(block), _FLOAT32, type(self).__name__)
        if np.isnan(self.state["top"][0]):
            return np.array(V, dtype=np.float32)
        logs = self.log_queries(np.asarray(Q, dtype=np.float64))
        keys = np.asarray(K, dtype=np.float64)
        first, kind = distinct_rows(keys)
        own = logs + np.array([self.log_key(k) for k in keys[first]])[kind]
        held = logs + self._log_z()
        peak = np.maximum(held.max(axis=1), own.max(axis=1))[:, None]
        held, mine = np.exp(held - peak), np.exp(own - peak).sum(axis=1)[:, None]
        top = held @ self._means() + mine * np.asarray(V, dtype=np.float64)
        answers: Float32 = (top / (held.sum(axis=1)[:, None] + mine)).astype(np.float32)
        return answers

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """phi(q) S / phi(q) z: float32[m, d_v]."""
        if np.isnan(self.state["top"][0]):
            raise BadInput("Attention over no token has no value: append a token first.")
        logs = self.log_queries(np.asarray(Q, dtype=np.float64)) + self._log_z()
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        means = weights @ self._means() / weights.sum(axis=1, keepdims=True)
        answers: Float32 = means.astype(np.float32)
        return answers

    def _log_z(self) -> Float64:
        """Log z with M put back: float64[features]."""
        with np.errstate(divide="ignore"):
            log: Float64 = np.log(self.state["z"].astype(np.float64))
        return log + float(self.state["top"][0])

    def _means(self) -> Float64:
        """S_i / z_i, the mean value a feature sees; 0 where no key reached it."""
        z = self.state["z"].astype(np.float64)[:, None]
        s = self.state["s"].astype(np.float64)
        return np.divide(s, z, out=np.zeros_like(s), where=z > 0)
