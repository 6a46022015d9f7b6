"""Control: time sharing, part of the secret exactly and coins for the rest.

With m of N uniform bits kept the others are guessed, each right with probability 1/2: the error is
(1 - m/N) / 2, the line from (0, 1/2) to (1, 0). Eviction sits on it. Being the first bits, the kept
ones are the oldest tokens: errorless in the early age buckets, a coin in the late ones.
"""

from __future__ import annotations

import numpy as np

from ...catalog_entry import CatalogEntry
from .keyed import Bits, KeyedControl

_GUESS = 0


class TimeSharing(KeyedControl):
    """As many of the first secret bits as the budget has bytes for; the rest is public coins."""

    name = "time-sharing"

    def size_bytes(self) -> int:
        """min(floor(budget / 8), ceil(n d_v / 8)): every message byte is charged 8 bits."""
        everything = -(-self.secret_bits // 8)
        if self.budget_bits is None:
            return everything
        return min(max(0, self.budget_bits) // 8, everything)

    def encode(self, bits: Bits) -> Bits:
        """The first bits, eight to a byte."""
        return np.packbits(bits[: 8 * self.size_bytes()])

    def decode(self, message: Bits) -> Bits:
        """The first bits, then coins that everybody knows."""
        kept = min(8 * len(message), self.secret_bits)
        coins = self.rng(_GUESS).integers(0, 2, self.secret_bits - kept, dtype=np.uint8)
        return np.concatenate([np.unpackbits(message, count=kept), coins])


ENTRY = CatalogEntry(
    TimeSharing,
    summary="as many secret bits as the budget has, the first ones, and coins for the rest",
    source="control: the line error = (1 - memory / secret bits) / 2",
    budgets="up to 1/32 at d_k = d_v, where it becomes lossless",
    attention="any",
    control=True,
)
