"""Scissorhands: tokens that many recent queries attended to less than on average leave together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ....reductions.jit import njit
from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import share_of, whole
from ...plugin.contract import Float32
from .scored_cache import EMPTIED, Indices, ScoredCache, enter, remove, score, weigh

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

    name = "scissorhands"

    def set_up(
        self,
        *,
        size: int | None = None,
        drop: float = DROP,
        recent: int | None = None,
        history: int | None = None,
    ) -> None:
        if isinstance(drop, bool) or not isinstance(drop, int | float) or not 0 < drop <= 1:
            raise BadInput(f"drop is the part that leaves: give more than 0 up to 1, not {drop!r}.")

        def room(bits: int) -> int:
            return self.room(size, beside=bits, once=_AT_BITS)

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
        self.hold(
            slots,
            wide={"at": ((1,), np.int32)},
            narrow={
                "counts": ((0 if ring else slots,), np.uint16),
                "bits": ((slots, ring), np.uint8),
            },
        )
        # After a drop the buffer is filled up again.
        self.declares = {"keeps": share_of(slots - self.drop + 1, self.shape)}

    def leaving(self) -> Indices:
        """The m least important tokens, if there is no room."""
        if self.filled < self.slots:
            return np.empty(0, dtype=np.int64)
        low = np.zeros(self.slots, dtype=np.int64)
        tally(self.state["counts"], self.state["bits"], low)
        ages = least_important(low, self.filled, self.order, self.recent, self.drop)
        slots: NDArray[np.int64] = self.order[ages]
        return slots

    def take(self, Q: Float32, K: Float32, owner: Indices) -> int:
        """Tokens in, and the record of who was important up to date."""
        held = self.filled, self.order, self.keys, owner
        policy = self.history, self.recent, self.drop
        record = (self.state[name] for name in ("at", "counts", "bits"))
        return int(scissorhands(Q, K, *held, *policy, *record))


def _dropped(part: float, slots: int) -> int:
    return max(1, int(part * (slots - 1)))


@njit(cache=True, nogil=True, error_model="numpy")
def scissorhands(
    Q: Any,
    K: Any,
    filled: Any,
    order: Any,
    keys: Any,
    owner: Any,
    window: Any,
    recent: Any,
    drop: Any,
    at: Any,
    counts: Any,
    bits: Any,
) -> Any:
    """Scissorhands: tokens in; where there is no room ``drop`` out, the least important ones.

    Args:
        window: how many queries before a drop count.
        recent: tokens that stay however unimportant.
        drop: tokens that leave at once.
        at: int32[1], the place in the ring of ``bits`` of the next query; updated.
        counts: uint16[slots], how often a token was below the average, among the last ``window``
            queries before the next drop; updated. Used if ``bits`` is empty, for windows that
            begin after the last drop.
        bits: uint8[slots, bytes], a ring of ``window`` bits a token, 1: below the average; updated.

    The others as in :func:`h2o`; ``owner`` of a slot that is left empty is ``EMPTIED``.
    """
    slots = order.shape[0]
    scores, weights = np.zeros(slots, dtype=np.float32), np.zeros(slots)
    low = np.zeros(slots, dtype=np.int64)
    for t in range(K.shape[0]):
        if filled == slots:
            tally(counts, bits, low)
            ages = least_important(low, filled, order, recent, drop)
            for i in range(drop - 1, -1, -1):
                owner[remove(order, filled, ages[i])] = EMPTIED
                filled -= 1
            counts[:] = 0
        bits[enter(order, filled, keys, owner, K[t], t)] = 0
        filled += 1
        place = np.int64(at[0])
        # Without the ring, steps left until the next drop say whether the window has begun.
        if bits.shape[1] > 0 or slots - filled < window:
            score(Q[t], keys, filled, order, scores)
            total = weigh(scores, filled, order, weights)
            for a in range(filled):
                i = order[a]
                below = weights[i] * filled < total
                if bits.shape[1] == 0:
                    counts[i] += np.uint16(below)
                else:
                    bit = np.uint8(1 << (place % 8))
                    bits[i, place // 8] &= np.uint8(255) ^ bit
                    if below:
                        bits[i, place // 8] |= bit
        if bits.shape[1] > 0:
            at[0] = (place + 1) % window
    return filled


@njit(cache=True, nogil=True, error_model="numpy")
def least_important(low: Any, filled: Any, order: Any, recent: Any, drop: Any) -> Any:
    """The ages of the ``drop`` tokens with the largest ``low``, ascending; of equal ones the older.

    None of the ``recent`` newest. low: int64[slots].
    """
    chosen = np.zeros(filled, dtype=np.bool_)
    for _ in range(drop):
        best = -1
        for a in range(filled - recent):
            if not chosen[a] and (best < 0 or low[order[a]] > low[order[best]]):
                best = a
        chosen[best] = True
    return np.flatnonzero(chosen)


@njit(cache=True, nogil=True, error_model="numpy")
def tally(counts: Any, bits: Any, low: Any) -> None:
    """How often each slot was below the average in the window: int64[slots], from either record."""
    for i in range(low.shape[0]):
        low[i] = 0
        if bits.shape[1] == 0:
            low[i] = counts[i]
        for byte in range(bits.shape[1]):
            value = np.int64(bits[i, byte])
            while value:
                low[i] += value & 1
                value >>= 1


ENTRY = CatalogEntry(
    Scissorhands,
    summary="the tokens that recent queries found important, and the newest",
    source="Liu et al. 2023, Scissorhands: Persistence of Importance for KV Cache Compression",
    budgets=EVICTS,
    assumes="what was important to recent queries will be again",
    broken_by="queries that are zero until the last one, which asks for any token",
    square="time",
)
