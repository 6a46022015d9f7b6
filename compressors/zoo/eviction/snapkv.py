"""SnapKV: the last queries of the prompt vote for the tokens that stay."""

from __future__ import annotations

import numpy as np

from ....errors import BadInput
from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from .kept_heads import Indices, KeptHeads, Rows, causal_weights, rows_at

#: what is kept of a prompt without a budget, as in the authors' code
_CAPACITY = 2048


class SnapKV(KeptHeads):
    """SnapKV (Li et al. 2024, LLM Knows What You are Looking for Before Generation, 2404.14469).

    After the prompt, the attention of its last ``window`` queries to every token before them is
    added up, pooled over ``kernel`` neighbouring positions, and the tokens with the highest sums
    stay, beside the window itself. Of equal sums the older token stays.

    State: K and V in fp16 of the tokens kept, as many in every head.

    Args:
        capacity: tokens a head keeps, the window with them; by default what the budget holds, or
            2048.
        window: w, the observation window (32; half of the capacity where that is less).
        kernel: positions pooled, an odd number (5).
        pooling: "avg" or "max" ("avg").

    Raises:
        BudgetTooSmall: not one token a head fits, or not ``capacity``.
        BadInput: a parameter is not positive, ``kernel`` is even, or there is no such pooling.

    Mechanisms:
        voting by an observation window: implemented.
        pooling over neighbours, average or maximum: implemented.
        window kept whole: implemented.
        window smaller than the capacity: adapted, halved where the budget holds less than two
            windows; the paper has no such budgets.
        votes of the queries of a group added up: not meaningful here, a head has one query head.
        generated tokens kept beside the prompt: implemented, they are Bob's.
    """

    name = "snapkv"

    def set_up(
        self,
        *,
        capacity: int | None = None,
        window: int = 32,
        kernel: int = 5,
        pooling: str = "avg",
    ) -> None:
        super().set_up()
        shape, budget_bits = self.shape, self.budget_bits
        if pooling not in ("avg", "max"):
            raise BadInput(f"pooling is 'avg' or 'max', not {pooling!r}.")
        if whole(kernel, "kernel", 1) % 2 == 0:
            raise BadInput(f"kernel is an odd number of positions, not {kernel}.")
        self.kernel, self.pooling = kernel, pooling
        per_token = 8 * self.row_bytes * len(self.heads)
        wanted = 1 if capacity is None else whole(capacity, "capacity", 1)
        self.need(wanted * per_token)
        if capacity is None:
            wanted = _CAPACITY if budget_bits is None else budget_bits // per_token
        self.capacity = min(wanted, shape.tokens)
        self.window = min(whole(window, "window", 1), max(1, self.capacity // 2))
        self.message_bytes = self.row_bytes * sum(self.counts())
        held = sum(self.counts()) / len(self.heads)
        self.declares = {"keeps": f"share:{held / shape.tokens!r}"}

    def capacities(self) -> list[int]:
        """Tokens that a head of each layer keeps."""
        return [self.capacity] * self.shape.layers

    def counts(self) -> list[int]:
        """As many in every head of a layer."""
        return [min(c, self.shape.tokens) for c in self.capacities() for _ in range(self._axes[1])]

    def keep(self, Q: Float32, K: Float32, V: Float32) -> list[Rows]:
        """The tokens voted for and the window, in order of age."""
        found = []
        for (l, h), count in zip(self.heads, self.counts(), strict=True):
            k, v = K[:, l, h], V[:, l, h]
            at = self.chosen(Q[:, l, h], k, count)
            found.append(rows_at(k, v, at))
        return found

    def chosen(self, Q: Float32, K: Float32, count: int) -> Indices:
        """The tokens that one head keeps: int64[min(count, n)], ascending."""
        n = len(K)
        if n <= count:
            return np.arange(n)
        window = min(self.window, count)
        votes = causal_weights(Q, K, n - window)[:, : n - window].sum(axis=0)
        pooled = pool(votes, self.kernel, self.pooling)
        voted = np.argsort(-pooled, kind="stable")[: count - window]
        return np.concatenate([np.sort(voted), np.arange(n - window, n)])


def pool(votes: Float32, kernel: int, how: str) -> Float32:
    """Average or maximum over ``kernel`` positions around each, zeros outside: float32[n].

    >>> pool(np.array([3.0, 0.0, 0.0]), 3, "avg").tolist()
    [1.0, 1.0, 0.0]
    >>> pool(np.array([3.0, 0.0, 0.0]), 3, "max").tolist()
    [3.0, 3.0, 0.0]
    """
    padded = np.pad(votes, kernel // 2)
    around = np.lib.stride_tricks.sliding_window_view(padded, kernel)
    pooled: Float32 = around.mean(axis=1) if how == "avg" else around.max(axis=1)
    return pooled


ENTRY = CatalogEntry(
    SnapKV,
    summary="the tokens that the last queries of the prompt attend to, and the last ones",
    source="Li et al. 2024, SnapKV: LLM Knows What You are Looking for Before Generation",
    budgets=EVICTS,
    assumes="the last queries of a prompt attend to what will be asked",
    broken_by="a question about what the last queries did not look at",
)
