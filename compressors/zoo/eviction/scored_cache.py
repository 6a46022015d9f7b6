"""What policies share that evict by what queries attended to: fp16 tokens with a score each.

In the authors' codes a step takes its token in, answers over all that is then held, and evicts
only afterwards. Here too: ``slots`` tokens are held, the newest among them, and the eviction that
a step ends with is carried out when the next token comes. So Bob's own query never chooses what it
may read, and all questions of a batch meet the same tokens.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ....reductions.jit import njit
from ...kit.softmax_cache import Pair, Part, SoftmaxCache
from ...kit.state import State, check_fits, from_storage, to_storage
from ...kit.token_cache import share_of, whole
from ...plugin.contract import Float32

Indices = NDArray[np.int64]
Field = tuple[tuple[int, ...], Any]
#: a query's number at most, times d_k: with keys up to 65504 (fp16) no float32 score overflows
_LARGEST = 2.0**111
EMPTIED = -2
"""``owner`` of a slot whose token left and that no other has taken."""


class ScoredCache(SoftmaxCache):
    """``slots`` places for a token. State: what the policy knows of each, K, V; empty is NaN.

    Subclasses :meth:`hold`, and give :meth:`leaving` and :meth:`take`. A message has the tokens in
    order of age, so which slot they had is no part of it. ``order`` has the slots, oldest token
    first, then the empty ones; ``keys`` are the held keys as columns, float32. Both are derived.
    """

    def room(self, size: int | None, *, beside: int = 0, once: int = 0) -> int:
        """How many tokens to hold: ``size`` if given, else as fit the budget, else all and Bob's.

        Args:
            size: a number that must fit, or None.
            beside: bits of state a token, beside its fp16 key and value.
            once: bits of state beside all tokens.

        Raises:
            BudgetTooSmall: ``size`` tokens, or one, do not fit.
            BadInput: ``size`` is no positive whole number.
        """
        wanted = None if size is None else whole(size, "size", 1)
        token = 16 * (self.shape.d_k + self.shape.d_v) + beside
        return self.tokens_that_fit(token, wanted=wanted, besides=once)

    def hold(
        self, slots: int, wide: Mapping[str, Field], narrow: Mapping[str, Field] | None = None
    ) -> None:
        """Make the empty state: what ``set_up`` ends with.

        Args:
            slots: tokens held.
            wide: fields of the state before K and V, wider than fp16, by name.
            narrow: fields after them.
        """
        shape = self.shape
        self.slots = slots
        self.declares = {"keeps": share_of(slots, shape)}
        tokens: dict[str, Field] = {
            "k": ((slots, shape.d_k), np.float16),
            "v": ((slots, shape.d_v), np.float16),
        }
        fields = {**wide, **tokens, **(narrow or {})}
        self.state = State(**fields)
        #: the fields with a row for each slot
        self.rows = [name for name in fields if len(self.state[name]) == slots and name != "at"]
        self.message_bytes = self.state.nbytes
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
        self.state.load(message)
        self.filled = int(np.count_nonzero(~np.isnan(self.state["k"][:, 0])))
        self.order = np.arange(self.slots)
        self.keys[...] = 0
        self.keys[:, : self.filled] = from_storage(self.state["k"][: self.filled]).T

    # -- batched doors ---------------------------------------------------------------------------

    def kept(self, without: Indices | None = None) -> Pair:
        """K, V of the held tokens, oldest first, less some slots: float32[t, d_k], [t, d_v]."""
        rows = self.order[: self.filled]
        if without is not None and len(without):
            rows = rows[~np.isin(rows, without)]
        return from_storage(self.state["k"][rows]), from_storage(self.state["v"][rows])

    def parts(self, Q: Float32, K: Float32, V: Float32) -> list[Part]:
        """One part: whatever the token, the same others leave for it."""
        _, k, v = self._checked(Q, K, V)
        own = from_storage(k), from_storage(v)
        return [(slice(None), own, self.kept(self.leaving()))]

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


# What the policies' kernels share. ``order[:filled]`` are the slots of the held tokens, oldest
# first; the rest of ``order`` is empty slots. Every sum has one order, that of coordinates or of
# age, so that a stream cut anywhere gives the same numbers, bit for bit, in whichever slots the
# tokens are.


@njit(cache=True, nogil=True, error_model="numpy")
def score(q: Any, keys: Any, filled: Any, order: Any, scores: Any) -> None:
    """<q, k> of the held tokens, at their slots: float32, coordinate after coordinate."""
    reach = 0
    for a in range(filled):
        reach = max(reach, order[a] + 1)
    scores[:reach] = np.float32(0.0)
    for j in range(q.shape[0]):
        for i in range(reach):
            scores[i] += q[j] * keys[j, i]


@njit(cache=True, nogil=True, error_model="numpy")
def weigh(scores: Any, filled: Any, order: Any, weights: Any) -> Any:
    """The held tokens' e^(score - maximum) at their slots, float64, and their sum by age."""
    top = -np.inf
    for a in range(filled):
        top = max(top, np.float64(scores[order[a]]))
    total = 0.0
    for a in range(filled):
        slot = order[a]
        weights[slot] = math.exp(np.float64(scores[slot]) - top)
        total += weights[slot]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def enter(order: Any, filled: Any, keys: Any, owner: Any, k: Any, t: Any) -> Any:
    """Take token t of the block in, with the key k, at the first empty slot, which is returned."""
    slot = order[filled]
    owner[slot] = t
    for j in range(len(k)):  # assigned by a slice it takes a second to compile
        keys[j, slot] = k[j]
    return slot


@njit(cache=True, nogil=True, error_model="numpy")
def remove(order: Any, filled: Any, at: Any) -> Any:
    """Take the at-th oldest token out; its slot is the first empty one, and returned."""
    slot = order[at]
    for a in range(at, filled - 1):
        order[a] = order[a + 1]
    order[filled - 1] = slot
    return slot


@njit(cache=True, nogil=True, error_model="numpy")
def least(numbers: Any, order: Any, end: Any) -> Any:
    """Which of the ``end`` oldest tokens has the least number; of equal ones the oldest."""
    best = 0
    for a in range(1, end):
        if numbers[order[a]] < numbers[order[best]]:
            best = a
    return best
