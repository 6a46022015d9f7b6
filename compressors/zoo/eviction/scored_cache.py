"""What policies share that evict by what queries attended to: fp16 tokens with a score each.

In the authors' codes a step takes its token in, answers over all that is then held, and evicts
only afterwards. Here too: ``slots`` tokens are held, the newest among them, and the eviction that
a step ends with is carried out when the next token comes. So Bob's own query never chooses what it
may read, and all questions of a batch meet the same tokens.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, BudgetTooSmall
from ....reductions import attention
from ...kit.softmax_cache import SoftmaxCache
from ...kit.state import State, check_fits, from_storage, to_storage
from ...kit.token_cache import whole
from ...plugin.contract import Float32, Shape

Indices = NDArray[np.int64]
Field = tuple[tuple[int, ...], Any]
#: a query's number at most, times d_k: with keys up to 65504 (fp16) no float32 score overflows
_LARGEST = 2.0**111


class ScoredCache(SoftmaxCache):
    """``slots`` places for a token. State: what the policy knows of each, K, V; empty is NaN.

    Subclasses give :meth:`leaving` and :meth:`take`. A message has the tokens in order of age, so
    which slot they had is no part of it. ``order`` has the slots, oldest token first, then the
    empty ones; ``keys`` are the held keys as columns, float32. Both are derived.

    Args:
        shape, budget_bits, seed, public: as every :class:`Compressor`.
        slots: tokens held.
        wide: fields of the state before K and V, wider than fp16, by name.
        narrow: fields after them.
    """

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None,
        seed: int,
        public: Mapping[str, Any] | None,
        *,
        slots: int,
        wide: Mapping[str, Field],
        narrow: Mapping[str, Field],
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        self.slots = slots
        tokens: dict[str, Field] = {
            "k": ((slots, shape.d_k), np.float16),
            "v": ((slots, shape.d_v), np.float16),
        }
        fields = {**wide, **tokens, **narrow}
        self.state = State(**fields)
        #: the fields with a row for each slot
        self.rows = [name for name in fields if len(self.state[name]) == slots and name != "at"]
        self.message_bytes = len(self.state.buffer)
        self.order: Indices = np.arange(slots)
        self.filled = 0
        self.keys: Float32 = np.zeros((shape.d_k, slots), dtype=np.float32)

    # -- the policy ------------------------------------------------------------------------------

    @abstractmethod
    def leaving(self) -> Indices:
        """The slots that are emptied before the next token comes in."""

    @abstractmethod
    def take(self, Q: Float32, K: Float32, owner: Indices) -> int:
        """Take tokens in, all but K and V of the state; how many are then held.

        Args:
            Q, K: float32[m, d_k], K as it is stored.
            owner: int64[slots], -1: becomes the token of the block that a slot now holds, or
                ``EMPTIED``.
        """

    # -- the contract ----------------------------------------------------------------------------

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples; each slot that changes is written once, with its last token.

        Raises:
            BadInput: a number is NaN, infinite or too large.
        """
        Q, k, v = self._checked(Q, K, V)
        owner = np.full(self.slots, -1)
        self.filled = self.take(Q, from_storage(k), owner)
        changed = np.flatnonzero(owner >= 0)
        self.state["k"][changed] = k[owner[changed]]
        self.state["v"][changed] = v[owner[changed]]
        emptied = np.flatnonzero(owner < -1)
        for name in self.rows if len(emptied) else ():
            field = self.state[name]
            field[emptied] = np.nan if field.dtype.kind == "f" else 0

    def save(self) -> bytes:
        """The buffer, oldest token first."""
        return self.state.to_bytes(dict.fromkeys(self.rows, self.order))

    def restore(self, message: bytes) -> None:
        """Take over a saved state."""
        self.state.load(message)
        self.filled = int(np.count_nonzero(~np.isnan(self.state["k"][:, 0])))
        self.order = np.arange(self.slots)
        self.keys[...] = 0
        self.keys[:, : self.filled] = from_storage(self.state["k"][: self.filled]).T

    # -- batched doors ---------------------------------------------------------------------------

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if triple r came next, beside what does not leave for it."""
        return attention.next_outputs(Q, *self._own(Q, K, V), *self.kept(self.leaving()))

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs(Q, K, V) > thresholds[:, None]``, with the dominance test."""
        kept = self.kept(self.leaving())
        return attention.next_bits(Q, *self._own(Q, K, V), *kept, thresholds)

    def kept(self, without: Indices | None = None) -> tuple[Float32, Float32]:
        """K, V of the held tokens, oldest first, less some slots: float32[t, d_k], [t, d_v]."""
        rows = self.order[: self.filled]
        if without is not None and len(without):
            rows = rows[~np.isin(rows, without)]
        return from_storage(self.state["k"][rows]), from_storage(self.state["v"][rows])

    def _own(self, Q: Float32, K: Float32, V: Float32) -> tuple[Float32, Float32]:
        _, k, v = self._checked(Q, K, V)
        return from_storage(k), from_storage(v)

    def _checked(
        self, Q: Float32, K: Float32, V: Float32
    ) -> tuple[Float32, NDArray[Any], NDArray[Any]]:
        """Queries, whose scores must be finite, and keys and values as they are stored."""
        name = type(self).__name__
        Q = np.ascontiguousarray(Q, dtype=np.float32)
        check_fits(Q, np.dtype(np.float32), name)
        if float(np.abs(Q).max(initial=0)) * self.shape.d_k > _LARGEST:
            raise BadInput(f"{name}: a score <q, k> could overflow float32; give smaller queries.")
        half = np.dtype(np.float16)
        return Q, to_storage(K, half, name), to_storage(V, half, name)


def slots_within(
    name: str,
    shape: Shape,
    budget_bits: int | None,
    size: int | None,
    *,
    beside: int,
    once: int = 0,
) -> int:
    """How many tokens to hold: ``size`` if given, else as fit the budget, else all and Bob's.

    Args:
        name: for the error.
        shape: of the stream.
        budget_bits: in bits, or None.
        size: a number that must fit, or None.
        beside: bits of state a token, beside its fp16 key and value.
        once: bits of state beside all tokens.

    Raises:
        BudgetTooSmall: ``size`` tokens, or one, do not fit.
        BadInput: ``size`` is no positive whole number.
    """
    token = 16 * (shape.d_k + shape.d_v) + beside
    needed = 1 if size is None else whole(size, "size", 1)
    if budget_bits is not None and once + needed * token > budget_bits:
        raise BudgetTooSmall(name, budget_bits, once + needed * token)
    if size is not None:
        return needed
    most = shape.tokens + shape.extra
    return most if budget_bits is None else min(most, (budget_bits - once) // token)
