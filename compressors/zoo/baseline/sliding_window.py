"""The last W tokens, and attention over them only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import Slots, TokenCache, slots_in_budget, whole
from ...plugin.contract import Shape


class SlidingWindow(TokenCache):
    """The masked window of Longformer (Beltagy, Peters, Cohan 2020): older tokens have weight 0.

    Bob's own token is the newest, so it pushes the oldest one out.

    Args:
        window: W; by default as many as the budget holds.
        dtype: fp32, fp16, bf16 or fp8.

    Raises:
        BudgetTooSmall: not one token fits, or not as many as ``window`` asks for.
        BadInput: ``window`` is not positive, or there is no such format.
    """

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        *,
        window: int | None = None,
        dtype: str = "fp16",
    ) -> None:
        wanted = None if window is None else whole(window, "window", 1)
        slots = slots_in_budget("sliding-window", shape, budget_bits, dtype, wanted=wanted)
        super().__init__(shape, budget_bits, seed, public, slots=slots, dtype=dtype)

    def slots_for(self, first: int, count: int) -> Slots:
        """Token t goes to slot t mod W."""
        return np.arange(first, first + count) % self.slots

    def age_order(self) -> Slots | None:
        """The ring cut open at the oldest token, so that no message says where its head is."""
        if self.seen <= self.slots:
            return None
        return self.slots_for(self.seen, self.slots)


ENTRY = CatalogEntry(
    "sliding-window",
    SlidingWindow,
    summary="the last tokens",
    source="Beltagy, Peters, Cohan 2020, Longformer",
    budgets=EVICTS,
)
