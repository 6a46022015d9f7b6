"""The first few tokens and the last W: attention sinks."""

from __future__ import annotations

import numpy as np

from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.state import storage_dtype
from ...kit.token_cache import Slots, TokenCache, token_bits, whole


class StreamingLLM(TokenCache):
    """Attention sinks (Xiao et al. 2024): the first ``sinks`` tokens stay, the rest is a window.

    Positions are not re-encoded: this game has none. Bob's own token is the newest, so it pushes
    the oldest token of the window out.

    Args:
        sinks: how many first tokens stay.
        window: W; by default as many as the budget holds beside the sinks.
        dtype: fp32, fp16, bf16 or fp8.

    Raises:
        BudgetTooSmall: the sinks and one token do not fit, or not as many as ``window`` asks for.
        BadInput: ``window`` is not positive, ``sinks`` is negative, or there is no such format.
    """

    name = "streaming-llm"

    def set_up(self, *, sinks: int = 4, window: int | None = None, dtype: str = "fp16") -> None:
        self.sinks = whole(sinks, "sinks", 0)
        wanted = None if window is None else self.sinks + whole(window, "window", 1)
        slots = self.tokens_that_fit(
            token_bits(self.shape, dtype),
            wanted=wanted,
            least=self.sinks + 1,
        )
        self.hold(slots=slots, dtype=dtype)
        keeps = f"first:{self.sinks},last:{slots - self.sinks}"
        self.declares = {"keeps": keeps, "bits": 8 * storage_dtype(dtype).itemsize}

    def slots_for(self, first: int, count: int) -> Slots:
        """Token t goes to slot t, and beyond the sinks to sinks + (t - sinks) mod W."""
        t = np.arange(first, first + count)
        ring = self.sinks + (t - self.sinks) % (self.slots - self.sinks)
        return np.where(t < self.sinks, t, ring)

    def age_order(self) -> Slots | None:
        """The sinks, then the ring cut open at its oldest token."""
        if self.seen <= self.slots:
            return None
        ring = self.slots_for(self.seen, self.slots - self.sinks)
        return np.concatenate([np.arange(self.sinks), ring])


ENTRY = CatalogEntry(
    StreamingLLM,
    summary="the first few tokens, the attention sinks, and the last ones",
    source="Xiao et al. 2024, Efficient Streaming Language Models with Attention Sinks",
    budgets=EVICTS,
)
