"""TOVA: the token that the last query attended to least leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....reductions.jit import njit
from ...catalog_entry import EVICTS, CatalogEntry
from ...plugin.contract import Float32
from .scored_cache import Indices, ScoredCache, enter, least, remove, score

_AGE_BITS = 32


class TOVA(ScoredCache):
    """Token Omission Via Attention (Oren et al. 2024, arXiv 2401.06104).

    The paper: Transformers are Multi-State RNNs.

    When a token comes and there is no room, the token leaves that has the lowest attention weight
    of the query before, the newest one included; of equal ones the oldest. There is no window.

    With queries that are zero all weights are equal, so it keeps the newest tokens.

    State: which token leaves next (int32), and K and V in fp16 of S tokens, the newest with them.
    The paper's size is S - 1: it evicts after the step, here it is done before the next one.

    Args:
        size: S; by default as many as the budget holds.

    Raises:
        BudgetTooSmall: not one token fits, or not ``size``.
        BadInput: ``size`` is not positive.

    Mechanisms:
        least attention of the last query: implemented.
        newest token may leave too: implemented.
        eviction after the step's answer: implemented, it waits until the next token comes.
        mean over the heads of a layer: adapted, a head is compressed by itself, so the heads of a
            layer may drop different tokens.
        positions renumbered in the cache: not meaningful here, the game has no positions.
    """

    name = "tova"

    def set_up(self, *, size: int | None = None) -> None:
        slots = self.room(size, once=_AGE_BITS)
        self.hold(slots, wide={"at": ((1,), np.int32)})

    def leaving(self) -> Indices:
        """The token that the last query attended to least, if there is no room."""
        if self.filled < self.slots:
            return np.empty(0, dtype=np.int64)
        return self.order[[int(self.state["at"][0])]]

    def take(self, Q: Float32, K: Float32, owner: Indices) -> int:
        """Tokens in, and who leaves next."""
        return int(tova(Q, K, self.filled, self.order, self.keys, owner, self.state["at"]))


@njit(cache=True, nogil=True, error_model="numpy")
def tova(Q: Any, K: Any, filled: Any, order: Any, keys: Any, owner: Any, at: Any) -> Any:
    """TOVA: tokens in, out the one with the least score of the last query where there is no room.

    Args:
        at: int32[1], the age of the token that leaves next, 0 the oldest; updated.

    The others as in :func:`h2o`. The least score has the least weight, so no weight is needed.
    """
    slots = order.shape[0]
    scores = np.zeros(slots, dtype=np.float32)
    for t in range(K.shape[0]):
        if filled == slots:
            remove(order, filled, at[0])
            filled -= 1
        enter(order, filled, keys, owner, K[t], t)
        filled += 1
        if filled == slots:
            score(Q[t], keys, filled, order, scores)
            at[0] = least(scores, order, filled)
    return filled


ENTRY = CatalogEntry(
    TOVA,
    summary="all but, each step, the token that the last query attended to least",
    source="Oren et al. 2024, Transformers are Multi-State RNNs",
    budgets=EVICTS,
    assumes="what the last query attends to least is not attended to later",
    broken_by="queries that are zero until the last one, which asks for any token",
    square="time",
)
