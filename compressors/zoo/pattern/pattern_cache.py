"""A cache of what a sparse attention pattern reads: which tokens these are is public.

In a model with such a pattern every query reads other tokens. Of a cache only the last query is
asked, that of position ``shape.tokens``, and what it reads is known before there is any data; so
all others need not be kept.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ....errors import BadInput, BudgetTooSmall
from ...kit.token_cache import Slots, TokenCache
from ...plugin.contract import Float32
from ...readers.patterns import ReadPattern

_COUNTER_BITS = 64


class PatternCache(TokenCache):
    """The tokens that a pattern's last query reads, in fp16, and softmax over them and its own.

    State: the number of tokens seen, int64, if not all are kept, and the tokens. Those after
    ``shape.tokens``, Bob's, are all kept, as the last query reads its own. A message carries their
    slots only once they are used.

    Attributes:
        name: for the error.
        pattern: who chooses, at most as many tokens as the budget holds.
    """

    name: ClassVar[str]
    pattern: ClassVar[ReadPattern]

    def set_up(self) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        token = 16 * (shape.d_k + shape.d_v)
        # Where every token is kept, how many are held says how many were seen.
        self.counted = budget_bits is not None and budget_bits < shape.tokens * token
        counter = _COUNTER_BITS if self.counted else 0
        most = shape.tokens
        if budget_bits is not None and self.counted:
            most = max(0, budget_bits - counter) // token
        tokens = _chosen(self.pattern, shape.tokens, most, self.seed)
        if tokens is None:
            least = _least(self.pattern, shape.tokens, self.seed)
            besides = _COUNTER_BITS if least < shape.tokens else 0
            raise BudgetTooSmall(self.name, budget_bits or 0, besides + least * token)
        #: the data tokens that are kept, ascending
        self.tokens = tokens
        counters = ("seen",) if self.counted else ()
        self.hold(slots=len(tokens) + shape.extra, dtype="fp16", counters=counters)
        self.message_bytes = (counter + len(tokens) * token) // 8
        self.declares = {"keeps": f"share:{len(tokens) / shape.tokens!r}", "bits": 16}

    def slots_for(self, first: int, count: int) -> Slots:
        """Each token of the pattern, and each after the data, has a slot of its own.

        Raises:
            BadInput: there are more tokens than the shape says.
        """
        t = np.arange(first, first + count)
        data = self.shape.tokens
        if first + count > data + self.shape.extra:
            raise BadInput(
                f"A pattern's cache is for {data} tokens and {self.shape.extra} more, not "
                f"{first + count}: give the shape as many as the stream has."
            )
        place = np.searchsorted(self.tokens, t)
        kept = np.isin(t, self.tokens)
        return np.where(t >= data, len(self.tokens) + t - data, np.where(kept, place, -1))

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples, and count them."""
        super().extend(Q, K, V)
        if self.counted:
            self.state["seen"][0] = self.seen

    def save(self) -> bytes:
        """The counter and the pattern's tokens, and the later ones if there are any."""
        return self.state.to_bytes(
            dict.fromkeys("kv", slice(len(self.tokens))) if self.seen <= self.shape.tokens else None
        )

    def restore(self, message: bytes) -> None:
        """Take over a saved state, the counter with it."""
        long = len(message) == self.state.nbytes
        self.state.load(message, None if long else dict.fromkeys("kv", len(self.tokens)))
        self.seen = int(self.state["seen"][0]) if self.counted else self._filled()


def _chosen(pattern: ReadPattern, tokens: int, most: int, seed: int) -> Slots | None:
    """What the pattern reads of the data tokens, ascending; None if it is nothing."""
    if most >= tokens:
        return np.arange(tokens)
    try:
        chosen = pattern.choose(tokens, most, seed)
    except BadInput:  # it needs more
        return None
    return np.unique(chosen) if len(chosen) else None


def _least(pattern: ReadPattern, tokens: int, seed: int) -> int:
    """The fewest tokens with which the pattern reads any."""
    return next(
        (most for most in range(1, tokens) if _chosen(pattern, tokens, most, seed) is not None),
        tokens,
    )
