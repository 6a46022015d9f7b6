"""What the compressors that keep whole tokens share: slots of K and V in a storage format.

A policy is one function: the slot that token t goes to, or none. Everything else follows from it:
what the state is, how a batch is taken in, and how Bob's token meets each row of his batch.
"""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from ...reductions.stored import Stored
from ..plugin.contract import Float32, Shape
from .blockwise import Own
from .softmax_cache import Pair, Part, SoftmaxCache
from .state import State, check_fits, from_storage, narrowed, storage_dtype

Slots = NDArray[np.int64]

LONG = 1 << 21
"""Numbers from which on a cache is not made float32 as a whole for a few questions: 8 MiB."""


class TokenCache(SoftmaxCache):
    """``slots`` places for a token; see the subclasses. State: K then V, an empty slot NaN.

    Subclasses :meth:`hold` and give :meth:`slots_for`, and where the order of slots turns with time
    :meth:`age_order`. ``seen`` is derived: it counts the tokens taken in, or after a restore as
    many as the slots show, from where :meth:`slots_for` must go on in the same way.
    """

    def hold(self, *, slots: int, dtype: str, counters: tuple[str, ...] = ()) -> None:
        """Make the empty state: what ``set_up`` ends with.

        Args:
            slots: how many tokens it keeps.
            dtype: storage format of K and V: fp32, fp16, bf16 or fp8 (e4m3fn).
            counters: further int64 numbers of state, by name.
        """
        self.slots = slots
        self.dtype = dtype
        storage = storage_dtype(dtype)
        self.state = State(
            **dict.fromkeys(counters, ((1,), np.int64)),
            k=((slots, self.shape.d_k), storage),
            v=((slots, self.shape.d_v), storage),
        )
        self.message_bytes = self.state.nbytes
        self.seen = 0

    # -- the policy ------------------------------------------------------------------------------

    @abstractmethod
    def slots_for(self, first: int, count: int) -> Slots:
        """The slots of tokens first .. first + count - 1 of the stream: int64[count], -1: dropped.

        The first ``slots`` tokens fill the slots in order.
        """

    def age_order(self) -> Slots | None:
        """The slots, oldest first, if a saved state is to be turned so; None: as they are."""
        return None

    # -- the contract ----------------------------------------------------------------------------

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples: each slot that changes is written once, with its last token.

        Raises:
            BadInput: a number, even of a token not kept, is NaN, infinite or too large to store.
        """
        slots = self.slots_for(self.seen, len(K))
        kept = np.flatnonzero(slots >= 0)
        # Of equal slots the last token stays: the first one in a stream that is read backwards.
        changed, first = np.unique(slots[kept][::-1], return_index=True)
        k, v = self._stored(K, V, kept[len(kept) - 1 - first])
        self.state["k"][changed] = k
        self.state["v"][changed] = v
        self.seen += len(K)

    def save(self) -> bytes:
        """The buffer; slots in order of age where the policy says so."""
        order = self.age_order()
        return self.state.to_bytes(None if order is None else {"k": order, "v": order})

    def restore(self, message: bytes) -> None:
        self.state.load(message)
        self.seen = self._filled()

    # -- operations ------------------------------------------------------------------------------

    def fork(self) -> Self:
        """Another instance with the same tokens, and arrays of its own."""
        twin = self.twin()
        twin.seen = self.seen
        return twin

    def reset(self) -> None:
        """Be as just constructed."""
        self.restore(self.fresh().save())
        self.seen = 0

    def shift(self, by: int) -> None:
        """Nothing to do: keys are held as they came, and no position is."""

    def keep_first(self, tokens: int) -> None:
        """Empty all slots but the first: for a policy by which these are the first tokens."""
        self.state["k"][tokens:] = np.nan
        self.state["v"][tokens:] = np.nan
        self.seen = tokens

    # -- batched doors ---------------------------------------------------------------------------

    def kept(self, without: int = -1) -> Pair:
        """K, V of the kept tokens, less one slot: float32[t, d_k], float32[t, d_v]."""
        filled = self._filled()
        rows: slice | Slots = slice(filled)
        if 0 <= without < filled:
            rows = np.delete(np.arange(filled), without)
        k, v = self.state.read("k"), self.state.read("v")
        return from_storage(k[rows]), from_storage(v[rows])

    def parts(self, Q: Float32, K: Float32, V: Float32) -> list[Part]:
        own, slot = self._own(K, V)
        filled = self._filled()
        long = filled * (self.shape.d_k + self.shape.d_v) >= LONG
        # Many questions would make the same numbers float32 once for every block of them.
        if not long or 8 * len(Q) > filled:
            return [(slice(None), own, self.kept(slot))]
        gap = slot if slot < filled else -1
        read: Callable[[Any], Float32] = from_storage
        if self.dtype == "fp16":
            from .halves import widen

            read = widen
        k, v = (Stored(self.state.read(name)[:filled], read, gap) for name in "kv")
        return [(slice(None), own, (k, v))]

    def beside(self, K: Float32, V: Float32) -> tuple[Own, Pair]:
        """Own tokens as they would be stored (None: not kept), and the tokens beside them."""
        own, slot = self._own(K, V)
        return own, self.kept(slot)

    def _own(self, K: Float32, V: Float32) -> tuple[Own, int]:
        """The same tokens, and the slot that each takes from another; -1: none."""
        slot = int(self.slots_for(self.seen, 1)[0])
        k, v = self._stored(K, V, slice(None))
        return (None if slot < 0 else (from_storage(k), from_storage(v))), slot

    def _stored(
        self, K: Float32, V: Float32, rows: slice | Slots
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """These rows in the storage format; no row at all may hold what does not fit it."""
        storage = storage_dtype(self.dtype)
        K, V = np.asarray(K), np.asarray(V)
        for block in (K, V):
            check_fits(block, storage, type(self).__name__)
        return narrowed(K[rows], storage), narrowed(V[rows], storage)

    def write(self, name: str, slots: slice, rows: Float32) -> None:
        """Write rows that fit the storage format into slots in a row."""
        place = self.state[name][slots]
        if self.dtype == "fp16" and self.slots * (self.shape.d_k + self.shape.d_v) >= LONG:
            from .halves import narrow

            narrow(np.ascontiguousarray(rows, dtype=np.float32), place)
        else:
            place[...] = np.asarray(rows).astype(place.dtype)

    def _filled(self) -> int:
        return int(np.count_nonzero(~np.isnan(self.state.read("k")[:, 0])))


def token_bits(shape: Shape, dtype: str) -> int:
    """Bits of a key and a value in a storage format. Raises BadInput if there is no such format."""
    return 8 * storage_dtype(dtype).itemsize * (shape.d_k + shape.d_v)


def share_of(slots: int, shape: Shape) -> str:
    """The declaration of ``slots`` held tokens of a stream with those that Bob may append.

    >>> share_of(8, Shape(tokens=15, d_k=4, d_v=4))
    'share:0.5'
    """
    total = shape.tokens + shape.extra
    return f"share:{min(slots, total) / total!r}"


def whole(value: int, what: str, least: int) -> int:
    """A parameter that must be a whole number, at least ``least``.

    Raises:
        BadInput: it is not; ``what`` names it.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise BadInput(f"{what} must be a whole number from {least} on, not {value!r}.")
    return number
