"""Tensor attention's cache of the products of all pairs, beside the factors: for small n."""

from __future__ import annotations

import numpy as np

from ....errors import BudgetTooSmall, PluginFailure
from ....reductions import tensor_attention
from ...catalog_entry import CatalogEntry
from ...kit.blockwise import Own
from ...kit.state import from_storage
from ...plugin.contract import Float32
from .four_cache import FourCache


class TwoCache(FourCache):
    """K1 (/) K2 and V1 (/) V2, the n^2 rows of products, and attention over these: for small n.

    Row (i, j) holds k1_i o k2_j and v1_i o v2_j, in the storage format. A token that comes later
    makes rows with every earlier one, k1_t o k2_j and k1_i o k2_t, and the factors do not follow
    from products (a 0 hides them): so the four factors, 4 n d numbers beside 2 n^2 d, are kept too.

    Args:
        dtype: fp32, fp16, bf16 or fp8; by default the widest of fp32, fp16, fp8 in the budget.

    Raises:
        BadInput, BudgetTooSmall: as ``four-cache``, with its own size.
    """

    name = "two-cache"

    def set_up(self, *, dtype: str | None = None) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        # n (d_k + d_v) factors and n^2 (d_k + d_v) / 2 products: 1 + n/2 times as much in all
        halfs = 2 + shape.tokens
        self.budget_bits = None if budget_bits is None else 2 * budget_bits // halfs
        try:
            super().set_up(dtype=dtype)
        except BudgetTooSmall as error:
            assert budget_bits is not None
            least = error.minimum_bits * halfs // 2
            raise BudgetTooSmall(self.name, budget_bits, least) from None
        self.budget_bits = budget_bits
        n, storage = self.slots, self.state["k"].dtype
        self.products = {
            name: np.full((n, n, width // 2), np.nan, dtype=storage)
            for name, width in (("k", shape.d_k), ("v", shape.d_v))
        }
        assert self.message_bytes is not None
        self.factor_bytes: int = self.message_bytes
        tokens = shape.tokens
        products = sum(p[:tokens, :tokens].nbytes for p in self.products.values())
        self.message_bytes = self.factor_bytes + products

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples; every new pair's products are rounded to the storage format."""
        first = self.seen
        super().extend(Q, K, V)
        for product, rows in zip(self.products.values(), self.kept(), strict=True):
            one, two = tensor_attention.halves(rows)
            t = len(rows)
            product[first:t, :t] = one[first:, None] * two[None]
            product[:first, first:t] = one[:first, None] * two[None, first:]

    def _message_pieces(self) -> list[bytes | memoryview]:
        """The factors, then the products of the data tokens; of all once there are more."""
        t = self.slots if self.seen > self.shape.tokens else self.shape.tokens
        parts = [product[:t, :t].tobytes() for product in self.products.values()]
        return [*super()._message_pieces(), *parts]

    def restore(self, message: bytes) -> None:
        whole = self.state.nbytes + sum(p.nbytes for p in self.products.values())
        if len(message) not in (self.message_bytes, whole):
            raise PluginFailure(
                f"a message of {len(message)} bytes is not one of two-cache's, which have "
                f"{self.message_bytes}: restore with the shape it was saved with."
            )
        all_slots = len(message) == whole
        t = self.slots if all_slots else self.shape.tokens
        at = self.state.nbytes if all_slots else self.factor_bytes
        super().restore(message[:at])
        for product in self.products.values():
            part = product[:t, :t]
            part[...] = np.frombuffer(
                message, dtype=product.dtype, count=part.size, offset=at
            ).reshape(part.shape)
            at += part.nbytes

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """Softmax attention over the products, query by query: float32[m, d_v]."""
        nothing = np.empty((1, 0), dtype=np.float32)
        rows = [self._over_products(q[None], nothing, nothing[:, :, None]) for q in Q]
        return np.concatenate(rows)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: over the products and the 2 t + 1 pairs of token r."""
        own, (kept_k, kept_v) = self.beside(K, V)
        assert own is not None
        (k1, k2), (v1, v2) = (tensor_attention.halves(rows) for rows in own)
        (K1, K2), (V1, V2) = (tensor_attention.halves(rows) for rows in (kept_k, kept_v))
        q = tensor_attention.halves(np.asarray(Q, dtype=np.float32))[0]
        scores = [(q * k1) @ K2.T, (q * k2) @ K1.T, (q * k1 * k2).sum(axis=1, keepdims=True)]
        values = [v1[:, None] * V2, v2[:, None] * V1, (v1 * v2)[:, None]]
        return self._over_products(Q, np.concatenate(scores, 1), np.concatenate(values, 1))

    def _over_products(self, Q: Float32, scores: Float32, values: Float32) -> Float32:
        """Softmax over the stored pairs and, row by row, more scores [m, r], values [m, r, d]."""
        q = tensor_attention.halves(np.asarray(Q, dtype=np.float32))[0]
        t, d = self.seen, self.shape.d_v // 2
        keys = from_storage(self.products["k"][:t, :t]).reshape(t * t, -1)
        stored = from_storage(self.products["v"][:t, :t]).reshape(t * t, -1)
        weights = np.concatenate([q @ keys.T, scores], axis=1)
        weights = np.exp(weights - weights.max(axis=1, keepdims=True))
        out = np.zeros((len(q), 2 * d), dtype=np.float32)
        out[:, :d] = weights[:, : t * t] @ stored
        if values.size:
            out[:, :d] += np.einsum("mr,mrc->mc", weights[:, t * t :], values)
        out[:, :d] /= weights.sum(axis=1, keepdims=True)
        return out


ENTRY = CatalogEntry(
    TwoCache,
    summary="tensor attention's products of all n^2 pairs of tokens, beside the factors",
    source="Chen, Li, Liang, Shi, Song, Tian 2025, arXiv 2503.11108 (as we reconstruct it)",
    budgets="free: 1 + n/2 times four-cache, so for small n",
    attention="tensor",
)
