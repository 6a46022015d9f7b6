"""H2O: half of the cache for the tokens that were attended to most, half for the newest."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import BadInput
from ....reductions.jit import njit
from ...catalog_entry import EVICTS, CatalogEntry
from ...plugin.contract import Float32
from .scored_cache import Indices, ScoredCache, enter, least, remove, score, weigh

_SCORE_BITS = 32


class H2O(ScoredCache):
    """Heavy-Hitter Oracle (Zhang et al. 2023, arXiv 2306.14048): the attention received decides.

    A token's score is the sum of the softmax weights that all queries since it came, its own
    first, gave it among the tokens held. When a token comes and there is no room, the token with
    the lowest score leaves, of equal ones the oldest; the newest ``recent`` part stays.

    With queries that are zero the weights are all 1/t, so older tokens have larger scores: the
    heavy half keeps the first tokens of the stream.

    State: a float32 score, K and V in fp16, for each of S tokens, the newest with them. The
    paper's budget is S - 1: it evicts after the step, here it is done before the next one.

    Args:
        size: S; by default as many as the budget holds.
        recent: part of the S - 1 that is kept for the newest tokens (0.5).

    Raises:
        BudgetTooSmall: not one token fits, or not ``size``.
        BadInput: ``size`` is not positive, or ``recent`` lies outside [0, 1].

    Mechanisms:
        accumulated attention scores: implemented.
        greedy eviction, a token a step (Algorithm 1): implemented.
        half heavy hitters, half recent tokens: implemented.
        eviction after the step's answer: implemented, it waits until the next token comes.
        prompt taken in whole before the first eviction (the authors' code): not meaningful here,
            a stream has no prompt; each token is a step of Algorithm 1.
        positions renumbered in the cache: not meaningful here, the game has no positions.
    """

    name = "h2o"

    def set_up(self, *, size: int | None = None, recent: float = 0.5) -> None:
        if isinstance(recent, bool) or not isinstance(recent, int | float) or not 0 <= recent <= 1:
            raise BadInput(f"recent is the newest tokens' part: give 0 to 1, not {recent!r}.")
        slots = self.room(size, beside=_SCORE_BITS)
        self.hold(slots, wide={"score": ((slots,), np.float32)})
        self.recent = int(recent * (slots - 1))

    def leaving(self) -> Indices:
        """The lowest score among the older tokens, if there is no room."""
        if self.filled < self.slots:
            return np.empty(0, dtype=np.int64)
        older = self.order[: self.slots - self.recent]
        return older[[int(np.argmin(self.state["score"][older]))]]

    def take(self, Q: Float32, K: Float32, owner: Indices) -> int:
        """Tokens in, and scores up to date."""
        held = self.filled, self.order, self.keys, owner
        return int(h2o(Q, K, *held, self.recent, self.state["score"]))


@njit(cache=True, nogil=True, error_model="numpy")
def h2o(
    Q: Any, K: Any, filled: Any, order: Any, keys: Any, owner: Any, recent: Any, heavy: Any
) -> Any:
    """H2O: tokens in, one out of those older than the ``recent`` newest where there is no room.

    Args:
        Q, K: float32[m, d].
        filled, order, keys: how many tokens are held, their slots and keys; updated.
        owner: int64[slots], the row of the block that a slot holds, if it does; updated.
        recent: tokens that stay whatever their score.
        heavy: float32[slots], attention received so far; updated.

    Returns how many tokens are held.
    """
    slots = order.shape[0]
    scores, weights = np.zeros(slots, dtype=np.float32), np.zeros(slots)
    for t in range(K.shape[0]):
        if filled == slots:
            remove(order, filled, least(heavy, order, slots - recent))
            filled -= 1
        heavy[enter(order, filled, keys, owner, K[t], t)] = np.float32(0.0)
        filled += 1
        score(Q[t], keys, filled, order, scores)
        total = weigh(scores, filled, order, weights)
        for a in range(filled):
            heavy[order[a]] += np.float32(weights[order[a]] / total)
    return filled


ENTRY = CatalogEntry(
    H2O,
    summary="the tokens with the most attention received so far, and the newest",
    source="Zhang et al. 2023, H2O: Heavy-Hitter Oracle for Efficient Generative Inference",
    budgets=EVICTS,
    assumes="a few tokens get most of the attention of all queries, the last one's too",
    broken_by="queries that are zero until the last one, which asks for any token",
    square="time",
)
