"""H2O: half of the cache for the tokens that were attended to most, half for the newest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....errors import BadInput
from ...catalog_entry import EVICTS, CatalogEntry
from ...plugin.contract import Float32, Shape
from .scored_cache import Indices, ScoredCache, slots_within

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

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        *,
        size: int | None = None,
        recent: float = 0.5,
    ) -> None:
        if isinstance(recent, bool) or not isinstance(recent, int | float) or not 0 <= recent <= 1:
            raise BadInput(f"recent is the newest tokens' part: give 0 to 1, not {recent!r}.")
        slots = slots_within("h2o", shape, budget_bits, size, beside=_SCORE_BITS)
        scores = {"score": ((slots,), np.float32)}
        super().__init__(shape, budget_bits, seed, public, slots=slots, wide=scores, narrow={})
        self.recent = int(recent * (slots - 1))

    def leaving(self) -> Indices:
        """The lowest score among the older tokens, if there is no room."""
        if self.filled < self.slots:
            return np.empty(0, dtype=np.int64)
        older = self.order[: self.slots - self.recent]
        return older[[int(np.argmin(self.state["score"][older]))]]

    def take(self, Q: Float32, K: Float32, owner: Indices) -> int:
        """Tokens in, and scores up to date."""
        from .scored_kernels import h2o

        score = self.state["score"]
        return int(h2o(Q, K, self.recent, self.filled, self.order, self.keys, score, owner))


ENTRY = CatalogEntry(
    "h2o",
    H2O,
    summary="the tokens with the most attention received so far, and the newest",
    source="Zhang et al. 2023, H2O: Heavy-Hitter Oracle for Efficient Generative Inference",
    budgets=EVICTS,
    assumes="a few tokens get most of the attention of all queries, the last one's too",
    broken_by="queries that are zero until the last one, which asks for any token",
)
