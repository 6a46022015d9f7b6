"""What the quantisers share that code every token by itself: bytes a token, and a rotation.

A codec turns rows of d numbers into rows of bytes and back. The cache is these bytes; attention is
exact over what they say.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ....errors import BudgetTooSmall
from ....reductions.jit import njit
from ...kit.distinct_rows import distinct_rows
from ...kit.key_value_bits import pairs
from ...kit.softmax_cache import Part, SoftmaxCache
from ...kit.state import State, check_fits
from ...kit.token_cache import LONG
from ...plugin.contract import Float32, public_coins

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


@dataclass(frozen=True)
class TurnedCodec:
    """Another codec on rows that were turned, and turned back.

    Attributes:
        codec: of the turned rows.
        turn: float32[d, d], orthogonal.
    """

    codec: Codec
    turn: Float32

    @property
    def row_bytes(self) -> int:
        """The codec's."""
        return self.codec.row_bytes

    def encode(self, X: Float32) -> Bytes:
        """uint8[m, row_bytes]."""
        return self.codec.encode(product(X, self.turn))

    def decode(self, codes: Bytes) -> Float32:
        """float32[m, d]."""
        rows: Float32 = self.codec.decode(codes) @ self.turn.T
        return rows


class CodedTokens(SoftmaxCache):
    """A codec for keys and one for values. Subclasses give :meth:`codecs`.

    State: how many tokens there are (uint32) and their bytes, keys then values. A message has the
    ``shape.tokens`` data tokens' room, and that for Bob's as well only once they are there.

    Raises:
        BudgetTooSmall: the tokens do not fit, coded as :attr:`codecs` says.
    """

    _decoded: tuple[list[Bytes], tuple[Float32, Float32]] | None = None

    def set_up(self) -> None:
        shape = self.shape
        self.key_codec, self.value_codec = self.codecs()
        capacity = shape.tokens + shape.extra
        self.state = State(
            count=((1,), np.uint32),
            k=((capacity, self.key_codec.row_bytes), np.uint8),
            v=((capacity, self.value_codec.row_bytes), np.uint8),
        )
        self.message_bytes = self._length()
        self.need(8 * self.message_bytes)
        a_token = self.key_codec.row_bytes + self.value_codec.row_bytes
        self.declares = {"keeps": "all", "bytes": a_token}

    def fit(self, ladder: Sequence[Any]) -> None:
        """Set up with the first of the ladder, most bits first, that fits the budget.

        ``bits`` is what was chosen; :meth:`codecs` reads it.

        Raises:
            BudgetTooSmall: not even the last one fits.
        """
        for self.bits in ladder:
            try:
                CodedTokens.set_up(self)
                return
            except BudgetTooSmall:
                if self.bits == ladder[-1]:
                    raise

    @abstractmethod
    def codecs(self) -> tuple[Codec, Codec]:
        """The codecs of keys and of values, from public things."""

    def turn(self, which: int, d: int, into: int | None = None) -> Float32:
        """The :func:`rotation` of keys (0) or values (1) from public coins, read-only."""
        return _turn(self.seed, which, d, into)

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
        self.room_for(end)
        for name, codec, X in (("k", self.key_codec, K), ("v", self.value_codec, V)):
            self._check(np.asarray(X))
            self.state[name][self.count : end] = codec.encode(np.asarray(X, dtype=np.float32))
        self.state["count"][0] = end

    def _check(self, X: Float32) -> None:
        """Numbers that fit fp16, and rows whose lengths do."""
        check_fits(X, _FP16, self.name)
        check_fits(np.linalg.norm(np.asarray(X, dtype=np.float32), axis=1), _FP16, self.name)

    def kept(self) -> tuple[Float32, Float32]:
        """K, V as the bytes say: float32[t, d_k], float32[t, d_v].

        Who is asked row by row decodes once: the rows stay until the bytes are others.
        """
        codes = [self.state[name][: self.count] for name in ("k", "v")]
        if self._decoded is not None and all(map(np.array_equal, self._decoded[0], codes)):
            return self._decoded[1]
        rows = self.key_codec.decode(codes[0]), self.value_codec.decode(codes[1])
        self._decoded = None
        if sum(part.size for part in rows) < LONG:
            self._decoded = [part.copy() for part in codes], rows
        return rows

    def save(self) -> bytes:
        """The count and the bytes of the data tokens, or of all once there are more."""
        short = slice(self.shape.tokens)
        return self.state.to_bytes(
            {"k": short, "v": short} if self.count <= self.shape.tokens else None
        )

    def restore(self, message: bytes) -> None:
        short = {"k": self.shape.tokens, "v": self.shape.tokens}
        self.state.load(message, short if len(message) == self._length() else None)

    def parts(self, Q: Float32, K: Float32, V: Float32) -> list[Part]:
        coded = []
        for codec, X in ((self.key_codec, K), (self.value_codec, V)):
            self._check(np.asarray(X))
            first, kind = distinct_rows(np.asarray(X, dtype=np.float32))
            coded.append(codec.decode(codec.encode(X[first]))[kind])
        return [(slice(None), (coded[0], coded[1]), self.kept())]


class WholeBits(CodedTokens):
    """A codec of whole bits a number for keys and for values. Subclasses give :meth:`codec`.

    Args:
        bits: of a number; by default the most of ``rungs`` that fit the budget, or ``otherwise``.
        k_bits, v_bits: of a key's number and of a value's (as ``bits``).

    Attributes:
        known: the bits that there are.
        rungs: those that a budget chooses from, most bits first.
        otherwise: the bits without a budget.
    """

    known: Sequence[int] = range(1, 9)
    rungs: Sequence[int] = (8, 4, 3, 2, 1)
    otherwise = 4

    def set_up(
        self, *, bits: int | None = None, k_bits: int | None = None, v_bits: int | None = None
    ) -> None:
        rungs = self.rungs if self.budget_bits is not None else (self.otherwise,)
        ladder = [(b, b) for b in rungs]
        self.fit(pairs(ladder, self.known, bits=bits, k_bits=k_bits, v_bits=v_bits))

    def codecs(self) -> tuple[Codec, Codec]:
        """One for keys and one for values, each with public coins of its own."""
        sizes = zip((self.shape.d_k, self.shape.d_v), self.bits, strict=True)
        k, v = (self.codec(d, b, which) for which, (d, b) in enumerate(sizes))
        return k, v

    def codec(self, d: int, bits: int, which: int) -> Codec:
        """The codec of rows of d numbers, of ``bits`` bits each; 0: of keys, 1: of values."""
        raise NotImplementedError


def rotation(rng: np.random.Generator, d: int, into: int | None = None) -> Float32:
    """A random isometry of R^d into R^into (d by default), float32[d, into]: Haar rows."""
    size = d if into is None else into
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    turned: Float32 = (q * np.sign(np.diag(r)))[:d].astype(np.float32)
    return turned


@functools.lru_cache(64)
def _turn(seed: int, which: int, d: int, into: int | None) -> Float32:
    """Drawn once for both players in one process, and for all rungs of a ladder."""
    turned = rotation(public_coins(seed, which), d, into)
    turned.flags.writeable = False
    return turned


def product(X: Float32, M: Float32) -> Float32:
    """X M, where a row's result does not depend on which others come with it: float32[m, e]."""
    out = np.empty((len(X), M.shape[1]), np.float32)
    multiply(np.ascontiguousarray(X), np.ascontiguousarray(M), out)
    return out


def pack(symbols: NDArray[Any], bits: int) -> Bytes:
    """Symbols below 2^bits, [m, s], one after another: uint8[m, ceil(s bits / 8)]."""
    codes = np.zeros((len(symbols), -(-symbols.shape[1] * bits // 8)), np.uint8)
    pack_symbols(np.ascontiguousarray(symbols, dtype=np.uint8), bits, codes)
    return codes


def unpack(codes: Bytes, bits: int, count: int) -> Bytes:
    """The ``count`` symbols of each row that :func:`pack` wrote: uint8[m, count].

    >>> unpack(pack(np.array([[5, 2, 7]]), 3), 3, 3).tolist()
    [[5, 2, 7]]
    """
    symbols = np.empty((len(codes), count), np.uint8)
    unpack_symbols(np.ascontiguousarray(codes), bits, symbols)
    return symbols


# A BLAS product may round a row differently when it comes with others, and a number on the border
# of two cells would then be coded differently: a stream cut anywhere could not give the same bytes.
# Strict float32 here, in one order.


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(X: Any, M: Any, out: Any) -> None:
    """out = X M, added up in the order of X's columns: float32[m, d], [d, e], [m, e]."""
    for r in range(X.shape[0]):
        out[r, :] = 0
        for i in range(X.shape[1]):
            x = X[r, i]
            for j in range(M.shape[1]):
                out[r, j] += x * M[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def pack_symbols(symbols: Any, bits: Any, codes: Any) -> None:
    """Symbols below 2^bits one after another, the lowest bit first.

    Args:
        symbols: uint8[m, s].
        bits: 1 to 8.
        codes: uint8[m, ceil(s bits / 8)], written.
    """
    for r in range(symbols.shape[0]):
        word, have, at = 0, 0, 0
        for i in range(symbols.shape[1]):
            word |= int(symbols[r, i]) << have
            have += bits
            while have >= 8:
                codes[r, at] = word & 255
                word >>= 8
                have -= 8
                at += 1
        if have:
            codes[r, at] = word & 255


@njit(cache=True, nogil=True, error_model="numpy")
def unpack_symbols(codes: Any, bits: Any, symbols: Any) -> None:
    """The other way; arguments as in :func:`pack_symbols`, symbols written."""
    mask = (1 << bits) - 1
    for r in range(symbols.shape[0]):
        word, have, at = 0, 0, 0
        for i in range(symbols.shape[1]):
            while have < bits:
                word |= int(codes[r, at]) << have
                have += 8
                at += 1
            symbols[r, i] = np.uint8(word & mask)
            word >>= bits
            have -= bits
