"""What the quantisers share that code every token by itself: bytes a token, and a rotation.

A codec turns rows of d numbers into rows of bytes and back. The cache is these bytes; attention is
exact over what they say.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, BudgetTooSmall
from ....reductions import attention
from ...kit.softmax_cache import SoftmaxCache
from ...kit.state import State, check_fits
from ...plugin.contract import Float32, Shape

Bytes = NDArray[np.uint8]
_FP16 = np.dtype(np.float16)
_COUNT_BYTES = 4


class Codec(Protocol):
    """Rows of numbers to rows of bytes, each row by itself."""

    @property
    def row_bytes(self) -> int:
        """Bytes a row."""

    def encode(self, X: Float32) -> Bytes:
        """float32[m, d] -> uint8[m, row_bytes]."""

    def decode(self, codes: Bytes) -> Float32:
        """uint8[m, row_bytes] -> float32[m, d]."""


class CodedTokens(SoftmaxCache):
    """A codec for keys and one for values. Subclasses give :meth:`codecs`.

    State: how many tokens there are (uint32) and their bytes, keys then values. A message has the
    ``shape.tokens`` data tokens' room, and that for Bob's as well only once they are there.

    Raises:
        BudgetTooSmall: the tokens do not fit, coded as :attr:`codecs` says.
    """

    name: ClassVar[str]

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None,
        seed: int,
        public: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        self.key_codec, self.value_codec = self.codecs()
        capacity = shape.tokens + shape.extra
        self.state = State(
            count=((1,), np.uint32),
            k=((capacity, self.key_codec.row_bytes), np.uint8),
            v=((capacity, self.value_codec.row_bytes), np.uint8),
        )
        self.message_bytes = self._length()
        if budget_bits is not None and 8 * self.message_bytes > budget_bits:
            raise BudgetTooSmall(self.name, budget_bits, 8 * self.message_bytes)

    @abstractmethod
    def codecs(self) -> tuple[Codec, Codec]:
        """The codecs of keys and of values, from public things."""

    def _length(self) -> int:
        each = self.key_codec.row_bytes + self.value_codec.row_bytes
        return _COUNT_BYTES + self.shape.tokens * each

    @property
    def count(self) -> int:
        """Tokens held."""
        return int(self.state["count"][0])

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Code m tokens.

        Raises:
            BadInput: a number is NaN, infinite or too large for fp16, or there is no room.
        """
        end = self.count + len(K)
        if end > len(self.state["k"]):
            raise BadInput(
                f"{self.name} has room for {self.shape.tokens} tokens and {self.shape.extra} more, "
                f"not for {end}: give the shape as many as the stream has."
            )
        for name, codec, X in (("k", self.key_codec, K), ("v", self.value_codec, V)):
            self._check(np.asarray(X))
            self.state[name][self.count : end] = codec.encode(np.asarray(X, dtype=np.float32))
        self.state["count"][0] = end

    def _check(self, X: Float32) -> None:
        """Numbers that fit fp16, and rows whose lengths do."""
        check_fits(X, _FP16, self.name)
        check_fits(np.linalg.norm(np.asarray(X, dtype=np.float32), axis=1), _FP16, self.name)

    def kept(self) -> tuple[Float32, Float32]:
        """K, V as the bytes say: float32[t, d_k], float32[t, d_v]."""
        filled = slice(self.count)
        return (
            self.key_codec.decode(self.state["k"][filled]),
            self.value_codec.decode(self.state["v"][filled]),
        )

    def save(self) -> bytes:
        """The count and the bytes of the data tokens, or of all once there are more."""
        short = slice(self.shape.tokens)
        return self.state.to_bytes(
            {"k": short, "v": short} if self.count <= self.shape.tokens else None
        )

    def restore(self, message: bytes) -> None:
        """Take over a saved state."""
        short = {"k": self.shape.tokens, "v": self.shape.tokens}
        self.state.load(message, short if len(message) == self._length() else None)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if triple r came next, coded as the others are."""
        return attention.next_outputs(Q, *self._own(K, V), *self.kept())

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs(Q, K, V) > thresholds[:, None]``, with the dominance test."""
        return attention.next_bits(Q, *self._own(K, V), *self.kept(), thresholds)

    def _own(self, K: Float32, V: Float32) -> tuple[Float32, Float32]:
        coded = []
        for codec, X in ((self.key_codec, K), (self.value_codec, V)):
            self._check(np.asarray(X))
            coded.append(codec.decode(codec.encode(np.asarray(X, dtype=np.float32))))
        return coded[0], coded[1]


def rotation(rng: np.random.Generator, d: int, into: int | None = None) -> Float32:
    """A random isometry of R^d into R^into (d by default), float32[d, into]: Haar rows."""
    size = d if into is None else into
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    turned: Float32 = (q * np.sign(np.diag(r)))[:d].astype(np.float32)
    return turned


def product(X: Float32, M: Float32) -> Float32:
    """X M, where a row's result does not depend on which others come with it: float32[m, e]."""
    from . import coding_kernels

    out = np.empty((len(X), M.shape[1]), np.float32)
    coding_kernels.product(np.ascontiguousarray(X), np.ascontiguousarray(M), out)
    return out


def pack(symbols: NDArray[Any], bits: int) -> Bytes:
    """Symbols below 2^bits, [m, s], one after another: uint8[m, ceil(s bits / 8)]."""
    from .coding_kernels import pack_symbols

    codes = np.zeros((len(symbols), -(-symbols.shape[1] * bits // 8)), np.uint8)
    pack_symbols(np.ascontiguousarray(symbols, dtype=np.uint8), bits, codes)
    return codes


def unpack(codes: Bytes, bits: int, count: int) -> Bytes:
    """The ``count`` symbols of each row that :func:`pack` wrote: uint8[m, count].

    >>> unpack(pack(np.array([[5, 2, 7]]), 3), 3, 3).tolist()
    [[5, 2, 7]]
    """
    from .coding_kernels import unpack_symbols

    symbols = np.empty((len(codes), count), np.uint8)
    unpack_symbols(np.ascontiguousarray(codes), bits, symbols)
    return symbols
