"""Prefill methods that rank the prompt's tokens once, and keep as many in every head."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from ...kit.token_cache import whole
from ...plugin.contract import Float32
from .kept_heads import Indices, KeptHeads, Rows, rows_at

Worth = NDArray[np.floating]


class ChosenTokens(KeptHeads):
    """Subclasses give :meth:`ranking`; the best tokens stay, in fp16, in order of age."""

    def hold(self, capacity: int | None) -> None:
        """Say how many tokens a head keeps: ``capacity``, else what the budget holds, else half.

        Raises:
            BudgetTooSmall: not one token a head fits, or not ``capacity``.
            BadInput: ``capacity`` is not positive.
        """
        shape, per_token = self.shape, 8 * self.row_bytes * len(self.heads)
        wanted = 1 if capacity is None else whole(capacity, "capacity", 1)
        self.need(wanted * per_token)
        if capacity is None:
            half = max(1, shape.tokens // 2)
            wanted = half if self.budget_bits is None else self.budget_bits // per_token
        self.capacity = min(wanted, shape.tokens)
        self.message_bytes = self.row_bytes * self.capacity * len(self.heads)
        self.declares = {"keeps": f"share:{self.capacity / max(1, shape.tokens)!r}"}

    def counts(self) -> list[int]:
        """As many in every head."""
        return [self.capacity] * len(self.heads)

    @abstractmethod
    def ranking(self, Q: Float32, K: Float32, V: Float32) -> Worth:
        """How much each token of a head is worth, float[n]; of equals the older one stays."""

    def chosen(self, Q: Float32, K: Float32, V: Float32) -> Indices:
        """The tokens that one head keeps: int64[min(capacity, n)], ascending."""
        worth = self.ranking(Q, K, V)
        return np.sort(np.argsort(-worth, kind="stable")[: self.capacity])

    def keep(self, Q: Float32, K: Float32, V: Float32) -> list[Rows]:
        """The tokens of every head, in order of age."""
        found = []
        for l, h in self.heads:
            q, k, v = (part[:, l, h] for part in (Q, K, V))
            at = np.arange(len(k)) if len(k) <= self.capacity else self.chosen(q, k, v)
            found.append(rows_at(k, v, at))
        return found
