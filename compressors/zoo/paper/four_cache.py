"""Tensor attention's cache of the four factors.


Tokens are [k1 | k2], [v1 | v2] and answers follow ``reductions.tensor_attention``. The names of the
layouts are those of arXiv 2503.11108, as we reconstruct them from its abstract.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ....reductions import tensor_attention
from ...catalog_entry import CatalogEntry
from ...kit.blockwise import Own
from ...plugin.contract import Float32
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

    name = "four-cache"

    def set_up(self, *, dtype: str | None = None) -> None:
        shape = self.shape
        super().set_up(dtype=dtype)
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

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """Tensor attention over all pairs of tokens: float32[m, d_v]."""
        if own is None:
            return tensor_attention.block_outputs(Q, *self.kept())
        return tensor_attention.next_outputs(Q, *own, *self.kept())

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        return self.answers(Q, self.beside(K, V)[0])  # it keeps every token

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        return self.next_outputs(Q, K, V) > np.asarray(thresholds, dtype=np.float32)[:, None]


ENTRY = CatalogEntry(
    FourCache,
    summary="tensor attention's factors K1, K2, V1, V2 of every token",
    source="Chen, Li, Liang, Shi, Song, Tian 2025, arXiv 2503.11108 (as we reconstruct it)",
    budgets="1/2 in fp8, 1 in fp16, 2 in fp32",
    attention="tensor",
)
