"""The whole cache: every token, in a storage format, and exact attention over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...catalog_entry import CatalogEntry
from ...kit.state import FORMATS, check_fits, storage_dtype
from ...kit.token_cache import Slots, TokenCache
from ...plugin.contract import Float32


class Exact(TokenCache):
    """Keeps everything (Haris & Onak 2025, eq. 1-2, up to the rounding of the storage format).

    A budget of the 16-bit cache is met exactly by fp16, of twice that by fp32, of half by fp8.
    There is room for Bob's ``shape.extra`` tokens; a message carries those slots only once one of
    them is used, so Alice's message is exactly her tokens.

    Args:
        dtype: fp32, fp16, bf16 or fp8; by default the widest of fp32, fp16, fp8 in the budget.

    Raises:
        BudgetTooSmall: the tokens do not fit the budget in this format (or in fp8).
        BadInput: there is no such format.
    """

    name = "exact"

    def set_up(self, *, dtype: str | None = None) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        if dtype is not None:
            storage_dtype(dtype)
        numbers = shape.tokens * (shape.d_k + shape.d_v)
        formats = ["fp32", "fp16", "fp8"] if dtype is None else [dtype]
        self.need(8 * FORMATS[formats[-1]] * numbers)
        widest = next(
            f for f in formats if budget_bits is None or 8 * FORMATS[f] * numbers <= budget_bits
        )
        self.hold(slots=shape.tokens + shape.extra, dtype=widest)
        self.message_bytes = FORMATS[widest] * numbers
        # Only float32 numbers come back as they were given.
        rounded = {"bits": 8 * FORMATS[widest]}
        self.declares = {"keeps": "all", **({"exact": True} if widest == "fp32" else rounded)}

    def slots_for(self, first: int, count: int) -> Slots:
        """Token t goes to slot t."""
        self.room_for(first + count)
        return np.arange(first, first + count)

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples, as :meth:`TokenCache.extend` does, into the slots that follow."""
        following = slice(self.seen, self.seen + len(K))
        self.room_for(following.stop)
        storage = storage_dtype(self.dtype)
        for rows in (K, V):
            check_fits(np.asarray(rows), storage, type(self).__name__)
        for name, rows in (("k", K), ("v", V)):
            self.write(name, following, rows)
        self.seen = following.stop

    def save(self) -> bytes:
        return b"".join(self._message_pieces())

    def _message_pieces(self) -> Sequence[bytes | memoryview]:
        """K then V of the data tokens; of all slots once one beyond them is used."""
        if self.seen > self.shape.tokens:
            return self.state.pieces()
        data = slice(self.shape.tokens)
        return self.state.pieces({"k": data, "v": data})

    def restore(self, message: bytes) -> None:
        if len(message) == self.state.nbytes:
            self.state.load(message)
        else:
            self.state.load(message, {"k": self.shape.tokens, "v": self.shape.tokens})
        self.seen = self._filled()

    def crop(self, tokens: int) -> None:
        """Keep the first tokens."""
        self.keep_first(tokens)

    def drop(self, begin: int, end: int) -> None:
        """Take tokens begin .. end - 1 out; the slots of those after them close up."""
        for name in ("k", "v"):
            rows = self.state[name]
            rows[begin : self.seen - end + begin] = rows[end : self.seen].copy()
        self.keep_first(self.seen - end + begin)


ENTRY = CatalogEntry(
    Exact,
    summary="the whole cache, exact attention",
    source="the definition (Haris & Onak 2025, eq. 1-2)",
    budgets="1/2 in fp8, 1 in fp16, 2 in fp32",
)
