"""Linformer: attention over k public projections of all keys and of all values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ...catalog_entry import CatalogEntry
from ...kit.blockwise import Blockwise, Own
from ...kit.outer_products import add_outer_products
from ...kit.state import State, check_fits
from ...kit.step_coins import step_coins
from ...kit.token_cache import whole
from ...plugin.contract import Float32

_FLOAT32 = np.dtype(np.float32)
#: tokens whose columns of E and F stand side by side for a moment
_BLOCK = 256


class Linformer(Blockwise):
    """Linformer (Wang, Li, Khabsa, Fang, Ma 2020, Linformer: Self-Attention with Linear Complexity,
    arXiv 2006.04768).

    Keeps K' = E K and V' = F V for E, F in R^{k x n} and answers softmax(q K'^T) V' (eq. 7). Token
    t adds column t, drawn from public coins, so Bob's is column n + 1.

    State: the number of tokens, K' and V' in fp32: 64 + 32 k (d_k + d_v) bits.

    Args:
        k: rows (as many as fit the budget, at most the tokens; without a budget a quarter).
        projection: "gaussian", entries N(0, 1/k); or "pool", means of successive
            tokens (the paper's section 4).
        shared: E = F.

    Raises:
        BudgetTooSmall: k rows, or one, do not fit.
        BadInput: k is not a whole number from 1 on, or there is no such projection.

    Mechanisms:
        linear projection of keys and values: implemented.
        learned E and F: left out, the game trains nothing; random ones
            stand in, as in its existence proof.
        pooling instead of a matrix: implemented, mean pooling.
        key-value sharing: implemented.
        headwise and layerwise sharing: not meaningful here, one head.
        causal mask: adapted, a query meets the projection of the tokens so far.
        max pooling, convolution: left out, the mean stands for them.
    """

    name = "linformer"

    def set_up(
        self, *, k: int | None = None, projection: str = "gaussian", shared: bool = False
    ) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        if projection not in ("gaussian", "pool"):
            raise BadInput(f"The projection is gaussian or pool, not {projection!r}.")
        row = 32 * (shape.d_k + shape.d_v)
        most = shape.tokens + shape.extra
        if k is None:
            fits = -(-most // 4) if budget_bits is None else (budget_bits - 64) // row
            k = max(1, min(fits, most))
        self.k = whole(k, "k", 1)
        self.need(64 + self.k * row)
        self.projection, self.shared = projection, bool(shared)
        self.width = -(-most // self.k)
        self.state = State(
            seen=((1,), np.int64),
            k=((self.k, shape.d_k), np.float32),
            v=((self.k, shape.d_v), np.float32),
        )
        self.state["k"][...] = 0
        self.state["v"][...] = 0
        self.message_bytes = self.state.nbytes

    def columns(self, t: int, count: int) -> tuple[Float32, Float32]:
        """Columns t, t + 1, .. of E and of F, as rows: float32[count, k] each."""
        if self.projection == "pool":
            mean = np.zeros((count, self.k), dtype=np.float32)
            rows = np.minimum(np.arange(t, t + count) // self.width, self.k - 1)
            mean[np.arange(count), rows] = 1 / self.width
            return mean, mean
        drawn = np.empty((count, 2, self.k), dtype=np.float32)
        for column, coins in zip(drawn, step_coins(self.seed, t, count), strict=True):
            coins.standard_normal(out=column, dtype=np.float32)
        drawn /= np.float32(np.sqrt(self.k))
        return drawn[:, 0], drawn[:, 0 if self.shared else 1]

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples in order.

        Raises:
            BadInput: a number is NaN or infinite.
        """
        K, V = np.asarray(K, dtype=np.float32), np.asarray(V, dtype=np.float32)
        for block in (K, V):
            check_fits(block, _FLOAT32, self.name)
        seen = int(self.state["seen"][0])
        for start in range(0, len(K), _BLOCK):
            some = slice(start, start + _BLOCK)
            E, F = self.columns(seen + start, len(K[some]))
            add_outer_products(E, K[some], self.state["k"])
            add_outer_products(F, V[some], self.state["v"])
        self.state["seen"][0] += len(K)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        for block in (K, V):
            check_fits(block, _FLOAT32, self.name)
        (e,), (f,) = self.columns(int(self.state["seen"][0]), 1)
        wide = np.asarray(Q, dtype=np.float64)
        own = np.einsum("rd,rd->r", wide, np.asarray(K, dtype=np.float64))[:, None]
        weights = _softmax(wide @ self.state["k"].T.astype(np.float64) + own * e)
        answers = weights @ self.state["v"] + (weights @ f)[:, None] * V
        rows: Float32 = answers.astype(np.float32)
        return rows

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """Softmax(q K'^T) V': float32[m, d_v]."""
        if self.state["seen"][0] == 0:
            raise BadInput("Attention over no token has no value: append a token first.")
        scores = np.asarray(Q, dtype=np.float64) @ self.state["k"].T
        answers: Float32 = (_softmax(scores) @ self.state["v"]).astype(np.float32)
        return answers


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    normalised: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normalised


ENTRY = CatalogEntry(
    Linformer,
    summary="k public random projections of all keys and of all values",
    source="Wang et al. 2020, Linformer: Self-Attention with Linear Complexity",
    budgets="any: as many rows in fp32 as fit",
    assumes="an attention matrix of low rank, and projections trained for it",
    broken_by="near-orthogonal keys: an attention matrix of full rank",
    square="time",
)
