"""The contract: a one-pass streaming algorithm over (q, k, v), built from public data only.

A subclass of :class:`Compressor` gives ``append`` and ``attend``; everything else has a default.
The subclass is a convenience: any class with these methods is accepted (see ``adapters``), and a
batch algorithm may give two functions instead. Shapes are in the paper's letters: n data tokens,
keys in R^{d_k}, values in R^{d_v}. Scores are <q, k>, with no 1/sqrt(d) (Haris & Onak, eq. 1-2).
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ...errors import BudgetTooSmall
from .answers import Float32 as Float32
from .answers import given


@dataclass(frozen=True)
class Shape:
    """The public shape of a stream: ``tokens`` data tokens; Bob may append ``extra`` more.

    ``sequences``: how many sequences a batch begins with (``operations``); None, as in every game:
    there is one, and arrays have no axis of sequences.

    ``windows``: how many tokens each layer attends to, Bob's included, None for all; None: all
    layers attend to all tokens.
    """

    tokens: int
    d_k: int
    d_v: int
    extra: int = 1
    layers: int = 1
    heads: int = 1
    kv_heads: int = 1
    sequences: int | None = None
    windows: tuple[int | None, ...] | None = None

    def __post_init__(self) -> None:
        """A list, as JSON has it, is a tuple."""
        if self.windows is not None:
            object.__setattr__(self, "windows", tuple(self.windows))

    @property
    def held(self) -> tuple[int, ...]:
        """Data tokens that each layer still attends to once Bob's token has come.

        >>> Shape(tokens=40, d_k=8, d_v=8, layers=2, windows=(17, None)).held
        (16, 40)
        """
        windows = self.windows or (None,) * self.layers
        return tuple(self.tokens if w is None else min(self.tokens, w - 1) for w in windows)

    @property
    def cache_bits_16(self) -> int:
        """Bits of an uncompressed 16-bit K and V cache over the data tokens: budget 1."""
        heads = self.kv_heads * (self.sequences or 1)
        return 16 * heads * sum(self.held) * (self.d_k + self.d_v)


class Compressor(ABC):
    """A one-pass streaming algorithm for attention (design contract; the paper's Section 2 model).

    Constructed from public data only: ``shape``; ``budget_bits``, the memory limit (None: no
    limit); ``seed``, its public coins; ``public``, what else both players know (the reduction's
    keys, scale, value alphabet, ``softmax_scale``); and its own keyword parameters,
    which go to :meth:`set_up`. :meth:`save` must return all mutable state.

    What an engine does to a cache beside appending (``crop``, ``drop``, ``select``, ``fork``,
    ``reset``, ``shift``) is optional: a subclass has the methods it can do (``operations``).

    Class attributes:
        streaming: the append loop equals ``extend``, so the stream may be cut, saved and restored
            anywhere. ``False`` for prefill and batch algorithms.
        message_bytes: a constant message length in bytes, known before the secret is drawn (may be
            set on the instance in ``set_up``). Then exactly 8 bits per byte are charged and every
            message is checked. ``None``: the length is charged as well (Elias gamma).
        layout: ``"head"`` (one head at a time) or ``"heads"`` (the whole token).
        declares: what it should hold, ``{"keeps": "last:256", "bits": 3}`` (``declaration``), or
            None; may be set on the instance in ``set_up``, or be a property.
        knows_keys: it reads ``public["keys"]`` and works only on that game's streams; ``check``
            then skips arbitrary streams, and says so.
    """

    streaming: bool = True
    layout: str = "head"
    declares: Any = None
    knows_keys: bool = False
    message_bytes: int | None = None

    _construction: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note the public arguments, from which :meth:`fresh` constructs another instance."""
        self = super().__new__(cls)
        # Around a __setattr__ of the author's (a frozen dataclass has one).
        object.__setattr__(self, "_construction", (args, kwargs))
        return self

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> None:
        self.shape = shape
        self.budget_bits = budget_bits
        self.seed = seed
        self.public: Mapping[str, Any] = public if public is not None else {}
        self.set_up(**params)

    def set_up(self, *args: Any, **params: Any) -> None:
        """Make the empty state; a subclass names its own parameters here, with their defaults.

        ``def set_up(self, *, window: int = 8)``: what is public stands in ``self`` by then. A
        subclass may as well have an ``__init__`` of its own, with whatever it wants of the four.

        Raises:
            TypeError: there is a parameter, and the subclass names none.
        """
        if params:
            raise TypeError(f"{type(self).__name__} has no parameter '{next(iter(params))}'")

    @abstractmethod
    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Take one triple: float32 arrays of shapes [d_k], [d_k], [d_v]."""

    @abstractmethod
    def attend(self, q: Float32) -> Float32:
        """The attention output for ``q`` over everything appended so far: float32[d_v]."""

    def save(self) -> bytes:
        """All mutable state as bytes; by default the difference from a fresh instance."""
        from .packing import pack_difference

        return pack_difference(self._stateful(), self.fresh()._stateful())

    def _message_pieces(self) -> Sequence[bytes | memoryview]:
        """What :meth:`save` returns, in pieces that may lie where the state does."""
        return [plain_bytes(self.save())]

    def restore(self, message: bytes) -> None:
        """Take over a saved state, on a fresh instance built from the same public parameters."""
        from .packing import unpack_difference

        unpack_difference(self._stateful(), message)

    def _stateful(self) -> object:
        """Whose attributes the default ``save`` packs; an adapter names what it wraps."""
        return self

    def fresh(self) -> Self:
        """A new instance built from the same public arguments."""
        args, kwargs = self._construction
        return type(self)(*args, **kwargs)

    def rng(self, t: int) -> np.random.Generator:
        """Public coins for step ``t``: counter-based, so there is no generator state to save."""
        return public_coins(self.seed, t)

    # -- batched doors: defaults loop; built-ins override them with kernels ---------------------

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples in order: float32 arrays of shapes [m, d_k], [m, d_k], [m, d_v]."""
        for q, k, v in zip(Q, K, V, strict=True):
            self.append(q, k, v)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if triple r came next, each on its own copy of the state.

        Float32[m, d_v]. This is Theorem 6's Bob: he appends (q_n, k_n, v_n) and reads o_n.
        """
        return self._each_on_a_copy(self.save(), Q, K, V)

    def outputs_after(self, message: bytes, Q: Float32, K: Float32, V: Float32) -> Float32:
        """``restore``, of a fresh instance, and then :meth:`next_outputs`: float32[m, d_v]."""
        if self._loops():
            # The copies are made of what came: to take it in and save it again is no use.
            return self._each_on_a_copy(message, Q, K, V)
        self.restore(message)
        return self.next_outputs(Q, K, V)

    def _loops(self) -> bool:
        """Whether ``next_outputs`` is the loop over copies."""
        return _is(self.next_outputs, Compressor.next_outputs)

    def _each_on_a_copy(self, message: bytes, Q: Float32, K: Float32, V: Float32) -> Float32:
        rows = []
        questions = zip(Q, K, V, strict=True)
        for (q, k, v), twin in zip(questions, self._copies(message), strict=False):
            twin.append(q, k, v)
            rows.append(given(twin, "attend", twin.attend(q), np.shape(v)))
        return stack_outputs(rows)

    def _copies(self, message: bytes) -> Iterator[Self]:
        """Fresh instances with the state in a message, as many as are wanted."""
        from .packing import unpacker

        usual = _is(self.save, Compressor.save) and _is(self.restore, Compressor.restore)
        # How an author's own restore makes its state is not for us to know: it is called each time.
        unpack = unpacker(message) if usual else None
        while True:
            twin = self.fresh()
            if unpack is None:
                twin.restore(message)
            else:
                unpack(twin._stateful())
            yield twin

    def block_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """The whole block (K, V) appended first, then every q answered: float32[m, d_v]."""
        twin = self.fresh()
        twin.restore(self.save())
        twin.extend(Q, K, V)
        answers = (twin.attend(q) for q in Q)
        return stack_outputs([given(twin, "attend", one, np.shape(V)[1:]) for one in answers])


def _is(method: Any, function: Any) -> bool:
    return getattr(method, "__func__", None) is function


def stack_outputs(rows: Sequence[Any]) -> Float32:
    """Stack the answers of an author's ``attend``: float32[m, d_v]; nothing is broadcast.

    Raises:
        ValueError: the answers have different shapes, or are not numbers.
    """
    if not rows:
        return np.empty((0, 0), dtype=np.float32)
    return np.stack([np.asarray(row, dtype=np.float32) for row in rows])


FRAMING_BYTES = 64
"""What ``tokens_within`` leaves for the packing's framing: ample for a dozen attributes."""


def tokens_within(
    budget_bits: int | None,
    bits_per_token: float,
    at_least: int = 1,
    framing_bytes: int = FRAMING_BYTES,
) -> int:
    """Return how many tokens of ``bits_per_token`` bits fit into the budget, all costs included.

    A message of L bytes is charged 8 L + 2 floor(log2(L+1)) + 1 bits, and the default ``save``
    spends some bytes on framing: this is the largest t with

        charged(framing_bytes + ceil(t bits_per_token / 8)) <= budget_bits.

    Without a budget there is no limit (``sys.maxsize``, which ``collections.deque(maxlen=...)``
    accepts). A key and a value in float32 are ``32 * (shape.d_k + shape.d_v)`` bits.

    Raises:
        BudgetTooSmall: fewer than ``at_least`` tokens fit; it names the least budget.

    >>> tokens_within(100_000, 32 * (64 + 64))  # 24 tokens are 98 304 bits
    24
    >>> tokens_within(98_304, 32 * (64 + 64)), tokens_within(100, 4096, at_least=0)
    (23, 0)
    """
    if budget_bits is None:
        return sys.maxsize
    length = max(0, budget_bits // 8)
    while length and charged_bits(length) > budget_bits:
        length -= 1
    fits = max(0, int(8 * (length - framing_bytes) / bits_per_token))
    if fits < at_least:
        least = charged_bits(framing_bytes + math.ceil(at_least * bits_per_token / 8))
        raise BudgetTooSmall("a cache of this kind", budget_bits, least)
    return fits


def plain_bytes(message: Any) -> bytes:
    """Return bytes, a bytearray or a memoryview as exactly ``bytes``, which is what is charged.

    ``bytes(x)`` keeps an instance of a subclass, which can report any length and carry other data.

    Raises:
        TypeError: the message has another type.

    >>> class Short(bytes):
    ...     __bytes__ = lambda self: self
    ...     __len__ = lambda self: 0
    >>> len(bytes(Short(b"abc"))), len(plain_bytes(Short(b"abc")))
    (0, 3)
    """
    # The elements themselves, past every method that a subclass may have put before them.
    if issubclass(type(message), bytes):
        return bytes.__getitem__(message, slice(None))
    if issubclass(type(message), bytearray):
        return bytes(bytearray.__getitem__(message, slice(None)))
    if type(message) is memoryview:
        return message.tobytes()
    raise TypeError(f"a message must be bytes, not {type(message).__name__}")


def public_coins(seed: int, t: int) -> np.random.Generator:
    """The coins of a seed for step ``t``, as :meth:`Compressor.rng` has them."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, t], dtype=np.uint64)))


def charged_bits(length_bytes: int, declared: int | None = None) -> int:
    """Return the charge of a message of L bytes: 8 L + 2 floor(log2(L+1)) + 1 bits.

    The length is made self-delimiting by Elias's gamma code of L + 1 (Elias 1975), so that all
    messages together satisfy Kraft's inequality; 8 L if the length was declared in advance.

    >>> charged_bits(0), charged_bits(2), charged_bits(2, declared=2)
    (1, 19, 16)
    """
    if declared is not None:
        return 8 * length_bytes
    return 8 * length_bytes + 2 * ((length_bytes + 1).bit_length() - 1) + 1
