"""The last W tokens, and attention over them only."""

from __future__ import annotations

import numpy as np

from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.state import storage_dtype
from ...kit.token_cache import Slots, TokenCache, token_bits, whole


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

    name = "sliding-window"

    def set_up(self, *, window: int | None = None, dtype: str = "fp16") -> None:
        wanted = None if window is None else whole(window, "window", 1)
        slots = self.tokens_that_fit(token_bits(self.shape, dtype), wanted=wanted)
        self.hold(slots=slots, dtype=dtype)
        self.declares = {"keeps": f"last:{slots}", "bits": 8 * storage_dtype(dtype).itemsize}

    def slots_for(self, first: int, count: int) -> Slots:
        """Token t goes to slot t mod W."""
        return np.arange(first, first + count) % self.slots

    def age_order(self) -> Slots | None:
        """The ring cut open at the oldest token, so that no message says where its head is."""
        if self.seen <= self.slots:
            return None
        return self.slots_for(self.seen, self.slots)

    def crop(self, tokens: int) -> None:
        """Keep the first tokens.

        Raises:
            ValueError: the ring is full, so older tokens may be gone that would be in the window.
        """
        if self.seen >= self.slots:
            raise ValueError(
                f"the window of {self.slots} is full and what left it is gone: keep a copy from "
                "before the tokens that are taken back."
            )
        self.keep_first(tokens)


ENTRY = CatalogEntry(
    SlidingWindow,
    summary="the last tokens",
    source="Beltagy, Peters, Cohan 2020, Longformer",
    budgets=EVICTS,
)
