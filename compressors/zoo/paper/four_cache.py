"""Tensor attention's cache of the four factors.


Tokens are [k1 | k2], [v1 | v2] and answers follow ``reductions.tensor_attention``. The names of the
layouts are those of arXiv 2503.11108, as we reconstruct them from its abstract.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, BudgetTooSmall
from ....reductions import tensor_attention
from ...catalog_entry import CatalogEntry
from ...plugin.contract import Float32, Shape
from ..baseline.exact import Exact


class FourCache(Exact):
    """K1, K2, V1, V2 of every token: 4 n d numbers, from which every answer follows exactly.

    The state and its budget are ``exact``'s; only the answers differ.

    Args:
        dtype: fp32, fp16, bf16 or fp8; by default the widest of fp32, fp16, fp8 in the budget.

    Raises:
        BadInput: the game holds answers to another rule, or d_k or d_v is odd.
        BudgetTooSmall: the tokens do not fit the budget.
    """

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        *,
        dtype: str | None = None,
    ) -> None:
        try:
            super().__init__(shape, budget_bits, seed, public, dtype=dtype)
        except BudgetTooSmall as error:
            raise BudgetTooSmall("four-cache", error.budget_bits, error.minimum_bits) from None
        rule = self.public.get("attention", "tensor")
        if rule != "tensor":
            raise BadInput(
                f"four-cache and two-cache answer tensor attention, and this game asks for {rule}: "
                "attack them with --reduction tensor."
            )
        if shape.d_k % 2 or shape.d_v % 2:
            raise BadInput(
                f"Keys [k1 | k2] and values [v1 | v2] have an even number of coordinates, not "
                f"{shape.d_k} and {shape.d_v}."
            )

    def attend(self, q: Float32) -> Float32:
        """Tensor attention over all pairs of tokens: float32[d_v]."""
        answer: Float32 = tensor_attention.block_outputs(np.asarray(q)[None], *self.kept())[0]
        return answer

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if triple r came next."""
        own, kept = self._next(K, V)
        assert own is not None  # it keeps every token
        return tensor_attention.next_outputs(Q, *own, *kept)

    def block_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """The block (K, V) appended to a copy, then every q answered: float32[m, d_v]."""
        twin = self.twin()
        twin.extend(Q, K, V)
        return tensor_attention.block_outputs(Q, *twin.kept())

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs(Q, K, V) > thresholds[:, None]``."""
        return self.next_outputs(Q, K, V) > np.asarray(thresholds, dtype=np.float32)[:, None]


ENTRY = CatalogEntry(
    "four-cache",
    FourCache,
    summary="tensor attention's factors K1, K2, V1, V2 of every token",
    source="Chen, Li, Liang, Shi, Song, Tian 2025, arXiv 2503.11108 (as we reconstruct it)",
    budgets="1/2 in fp8, 1 in fp16, 2 in fp32",
    attention="tensor",
)
