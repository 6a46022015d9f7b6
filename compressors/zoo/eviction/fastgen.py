"""FastGen: every head gets the cheapest policy that recovers its own attention map."""

from __future__ import annotations

import math

import numpy as np

from ....errors import BadInput, BudgetTooSmall
from ....reductions.memo import remembered
from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32, charged_bits
from .kept_heads import _COUNT_BYTES, Indices, KeptHeads, Rows, causal_weights, rows_at

_RECOVERY = 0.95


@remembered(most=1 << 24)
def policies(
    Q: Float32, K: Float32, first: int, often: int, newest: int
) -> list[tuple[Indices, float]]:
    """The policies of one head, the cheapest first, each with what it recovers; full: 1.

    Of ``first`` special, ``often`` frequent and ``newest`` local tokens.
    """
    n = len(K)
    full = np.arange(n), 1.0
    if n == 0:
        return [full]
    weights = causal_weights(Q, K)
    special = np.arange(min(first, n))
    ranked = np.argsort(-weights.sum(axis=0), kind="stable")
    others = ranked[ranked >= len(special)]
    frequent = np.union1d(special, others[:often])
    older = np.union1d(special, others[others < n - newest][:often])
    at = np.arange(n)
    near = at[None, :] > at[:, None] - newest
    columns = np.isin(at, older)
    both = np.union1d(older, np.arange(n - newest, n))
    return [
        (special, _mean(weights[:, special], n)),
        (frequent, _mean(weights[:, frequent], n)),
        (both, _mean(weights[near | columns[None, :]], n)),
        full,
    ]


class FastGen(KeptHeads):
    """FastGen (Ge et al. 2024, Model Tells You What to Discard: Adaptive KV Cache Compression,
    arXiv 2310.01801).

    After the prefill each head takes the cheapest of four policies whose tokens carry at least the
    part ``recovery`` of its attention map, averaged over queries: the *special* tokens; these and
    the *frequent* ones, the part ``frequent`` of tokens with the highest attention received; these
    and the *local* ones, the last part ``local`` before each query; or *full*. Frequent tokens are
    sought among those that the policy does not keep anyway.

    With a budget, ``recovery`` is the highest at which all heads together fit, and the frequent and
    local tokens are as many as fit in every head.

    State: the number of tokens of each head (uint32), K and V in fp16.

    Args:
        recovery: T of the paper (0.95, or what the budget holds).
        special: first tokens, which stand for the special ones (1).
        frequent: r_f, part of the tokens (0.3, or half of what the budget holds).
        local: r_l, part of the tokens (likewise).

    Raises:
        BudgetTooSmall: the special tokens do not fit; or, when the data are there, the policies of
            ``recovery`` do not.
        BadInput: a part lies outside [0, 1], or ``special`` is not positive.

    Mechanisms:
        per-head choice by recovery of the attention map at the prompt: implemented.
        special tokens: adapted, the first ones; there are no token names here.
        punctuation: not meaningful here, there is no text.
        frequent tokens, by attention received: implemented.
        local tokens: implemented.
        full cache where nothing else recovers: implemented.
        order of policies by cost, hybrids that grow: implemented.
        eviction while tokens are generated: left out, Bob appends one token to a copy and asks.
    """

    name = "fastgen"

    def set_up(
        self,
        *,
        recovery: float | None = None,
        special: int = 1,
        frequent: float | None = None,
        local: float | None = None,
    ) -> None:
        super().set_up()
        for what, part in (("recovery", recovery), ("frequent", frequent), ("local", local)):
            if part is not None and not 0 <= part <= 1:
                raise BadInput(f"{what} is a part from 0 to 1, not {part!r}.")
        self.recovery = recovery
        self.special = whole(special, "special", 1)
        self._fits([self.special] * len(self.heads))
        self.frequent, self.local = frequent, local

    def _sizes(self, n: int) -> tuple[int, int]:
        """How many of n tokens are frequent and local: 0.3, or half of a head's room, each."""
        room = 0.6 * n
        if self.budget_bits is not None:
            spare = self.budget_bits // 8 - 8 - _COUNT_BYTES * len(self.heads)
            room = max(0, spare // (self.row_bytes * len(self.heads)) - self.special)
        local = int(room / 2) if self.local is None else int(self.local * n)
        frequent = math.ceil(room / 2) if self.frequent is None else int(self.frequent * n)
        return min(frequent, n), min(local, n)

    def _fits(self, counts: list[int]) -> None:
        """Raise BudgetTooSmall if heads of so many tokens do not fit."""
        length = _COUNT_BYTES * len(self.heads) + self.row_bytes * sum(counts)
        self.need(charged_bits(length))

    def keep(self, Q: Float32, K: Float32, V: Float32) -> list[Rows]:
        """The rows of each head's policy, in order of age."""
        sizes = self.special, *self._sizes(len(K))
        ladders = [policies(Q[:, l, h], K[:, l, h], *sizes) for l, h in self.heads]
        ratios = [_RECOVERY if self.recovery is None else self.recovery]
        if self.recovery is None and self.budget_bits is not None:
            # Between two parts that some policy recovers nothing changes.
            ratios = sorted({part for ladder in ladders for _, part in ladder} | {0.0})[::-1]
        for ratio in ratios:
            chosen = [next(at for at, part in ladder if part >= ratio) for ladder in ladders]
            try:
                self._fits([len(at) for at in chosen])
            except BudgetTooSmall:
                if ratio == ratios[-1]:
                    raise
                continue
            break
        return [
            rows_at(K[:, l, h], V[:, l, h], at)
            for (l, h), at in zip(self.heads, chosen, strict=True)
        ]


def _mean(weights: Float32, n: int) -> float:
    # Rounding must not recover more than all.
    return min(1.0, float(weights.sum() / n))


ENTRY = CatalogEntry(
    FastGen,
    summary="in every head the cheapest policy that recovers its attention in the prompt",
    source="Ge et al. 2024, Model Tells You What to Discard: Adaptive KV Cache Compression",
    budgets=EVICTS,
    assumes="a head's attention in the prompt is that of all its later queries",
    broken_by="a question about what no earlier query attended to",
    square="time and memory",
    own_size={"layers": 2, "heads": 2},
    own_size_reason="heads choose different policies",
)
