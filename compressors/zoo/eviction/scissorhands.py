"""Scissorhands: tokens that many recent queries attended to less than on average leave together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32, Shape
from .scored_cache import Indices, ScoredCache, slots_within

_AT_BITS = 32
_COUNT_BITS = 16
_MOST_COUNTED = (1 << _COUNT_BITS) - 1
HISTORY, RECENT, DROP = 400, 10, 0.5


class Scissorhands(ScoredCache):
    """Persistence of importance (Liu et al. 2023, Scissorhands, arXiv 2305.17118).

    A query finds a held token unimportant if its attention weight is below the average, 1 over the
    number held. When a token comes and there is no room, the m tokens leave that most of the last
    w queries found unimportant, of equal ones the oldest; the newest r stay.

    With queries that are zero nothing is below the average, so the oldest m leave. After a drop
    only S - m + 1 tokens are held, until the buffer is full again: a message may come at any point
    of that cycle, and is charged for S.

    State: for each of S tokens how many queries of the window found it unimportant, and K and V in
    fp16. That is a uint16 where w <= m, as the window then begins after the last drop, which was m
    steps ago; else, or where that is less, w bits and the place in their ring (int32, which is
    always there). The paper's budget is S - 1: it compresses after the step, here it is done
    before the next one.

    Args:
        size: S; by default as many as the budget holds.
        drop: m, as a part of S - 1, in (0, 1] (0.5, at least one token).
        recent: r (10, or as many as m leaves).
        history: w (400, or m where that is less).

    Raises:
        BudgetTooSmall: not one token fits, or not ``size``.
        BadInput: a parameter outside its range, or m and r together are more than S.

    Mechanisms:
        attention below average, counted over a history window: implemented.
        recent window: implemented.
        several tokens dropped at once when the buffer is full: implemented.
        eviction after the step's answer: implemented, it waits until the next token comes.
        larger budgets for later layers: left out, a head is compressed by itself, with one budget.
    """

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        *,
        size: int | None = None,
        drop: float = DROP,
        recent: int | None = None,
        history: int | None = None,
    ) -> None:
        if isinstance(drop, bool) or not isinstance(drop, int | float) or not 0 < drop <= 1:
            raise BadInput(f"drop is the part that leaves: give more than 0 up to 1, not {drop!r}.")

        def room(bits: int) -> int:
            return slots_within(
                "scissorhands", shape, budget_bits, size, beside=bits, once=_AT_BITS
            )

        ring = 0
        if history is not None:
            ring = -(-whole(history, "history", 1) // 8)
            slots = room(8 * ring) if size is None else whole(size, "size", 1)
            if 8 * ring > _COUNT_BITS and history <= min(_dropped(drop, slots), _MOST_COUNTED):
                ring = 0
        slots = room(8 * ring if ring else _COUNT_BITS)
        self.drop = _dropped(drop, slots)
        self.history = min(HISTORY, self.drop) if history is None else history
        self.recent = (
            min(RECENT, slots - self.drop) if recent is None else whole(recent, "recent", 0)
        )
        if self.drop + self.recent > slots:
            raise BadInput(
                f"{self.drop} tokens to drop and {self.recent} recent ones are more than the "
                f"{slots} that are held."
            )
        counters = {"counts": ((0 if ring else slots,), np.uint16)}
        super().__init__(
            shape, budget_bits, seed, public, slots=slots, wide={"at": ((1,), np.int32)},
            narrow=counters | {"bits": ((slots, ring), np.uint8)},
        )  # fmt: skip

    def leaving(self) -> Indices:
        """The m least important tokens, if there is no room."""
        if self.filled < self.slots:
            return np.empty(0, dtype=np.int64)
        from .scored_kernels import least_important, tally

        low = np.zeros(self.slots, dtype=np.int64)
        tally(self.state["counts"], self.state["bits"], low)
        ages = least_important(low, self.filled, self.order, self.recent, self.drop)
        slots: NDArray[np.int64] = self.order[ages]
        return slots

    def take(self, Q: Float32, K: Float32, owner: Indices) -> int:
        """Tokens in, and the record of who was important up to date."""
        from .scored_kernels import scissorhands

        state = self.state
        return int(
            scissorhands(
                Q, K, self.history, self.recent, self.drop, state["at"], self.filled, self.order,
                self.keys, state["counts"], state["bits"], owner,
            )
        )  # fmt: skip


def _dropped(part: float, slots: int) -> int:
    return max(1, int(part * (slots - 1)))


ENTRY = CatalogEntry(
    "scissorhands",
    Scissorhands,
    summary="the tokens that recent queries found important, and the newest",
    source="Liu et al. 2023, Scissorhands: Persistence of Importance for KV Cache Compression",
    budgets=EVICTS,
    assumes="what was important to recent queries will be again",
    broken_by="queries that are zero until the last one, which asks for any token",
)
