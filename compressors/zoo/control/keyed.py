"""Controls that know the game: a token's secret is bits in its value, its key is public.

They read ``public["keys"]`` (float32[n, d_k], row l the key of token l) and ``public["values"]``
(``"01"`` or ``"pm1"``, the two values a bit stands for, or ``"levels"``: ``public["levels"]``,
float32[B], has the B = 2^b values of b bits each), keep bits only, and attend exactly over the
public keys with the values that the bits stand for. Where not every token is secret,
``public["secret_tokens"]`` says which are and ``public["known_values"]`` has the others' values;
where several tokens carry one row of the secret, ``public["secret_of_token"]`` (int64[n]) says
which, -1 for a token without, and ``secret_tokens`` has one token a row. A token is recognised by
its key, so no counter is kept: whatever the order and wherever the stream is cut, the state is the
bits. A token whose key is not public, Bob's, is one more row.

Where keys carry secrets too, ``public["addresses"]`` (float32[n, d_a]) has the public part of each
and ``public["payload_levels"]`` (float32[2^b]) the numbers that the rest is made of: a token's bits
are then its value's and after them its payload's, b a coordinate. A key of Bob's, with a number
that is no level, is not taken for one of these.

The rule is ``public["attention"]``: softmax, or the tensor attention of two key and two value
caches. On the unmasked window's hard stream the tokens outside are all zero, so softmax over
everything is that rule.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, BudgetTooSmall, PluginFailure
from ....reductions import attention, tensor_attention
from ....reductions.alphabet import bits_of, bits_per_number, level_number, symbols_of
from ....reductions.memo import remembered
from ...plugin.contract import Compressor, Float32

Bits = NDArray[np.uint8]


def _alphabet(public: Mapping[str, Any]) -> Float32:
    """The values that a number can have, float32[B], rising."""
    if public["values"] == "levels":
        return np.asarray(public["levels"], dtype=np.float32)
    return np.array([0.0 if public["values"] == "01" else -1.0, 1.0], dtype=np.float32)


class _KnownKeys(NamedTuple):
    """Public keys or addresses.

    Attributes:
        token: of each key, by its bytes, the last token that carries something, else any of it.
        row: int64[n], the row of ``bits`` of each token's key; -1: nothing secret.
    """

    token: dict[bytes, int]
    row: NDArray[np.int64]


@remembered(most=1 << 26)
def known_keys(keys: Float32, row_of: NDArray[np.int64]) -> _KnownKeys:
    """Found again for equal keys: a game has the same in all messages."""
    names = [key.tobytes() for key in keys]
    token = dict(zip(names, range(len(names)), strict=True))
    token.update((names[carrier], int(carrier)) for carrier in np.flatnonzero(row_of >= 0))
    last = np.fromiter((token[name] for name in names), np.int64, len(names))
    return _KnownKeys(token, np.asarray(row_of, dtype=np.int64)[last])


class KeyedControl(Compressor):
    """Bits by public key. A subclass says what of them its message holds.

    The message is constant in length, so it declares ``message_bytes``: exactly 8 bits a byte are
    charged.

    Raises:
        BadInput: ``public`` has no keys, or not one for every token.
        BudgetTooSmall: the message is over the budget.
    """

    knows_keys = True
    name: ClassVar[str]
    message_bytes: int

    def set_up(self) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        levels = self.public.get("payload_levels")
        self.levels: Float32 | None = None if levels is None else np.asarray(levels, np.float32)
        known = "keys" if levels is None else "addresses"
        if known not in self.public or "values" not in self.public:
            raise BadInput(
                f"{self.name} knows the game: build it with public keys and values, as attack does."
            )
        self.keys = np.ascontiguousarray(self.public[known], dtype=np.float32)
        payload = 0 if levels is None else max(0, shape.d_k - self.keys.shape[-1])
        if self.keys.shape != (shape.tokens, shape.d_k - payload):
            raise BadInput(
                f"{self.name} needs a public key for every token: {shape.tokens} of {shape.d_k} "
                f"numbers, not an array of shape {self.keys.shape}."
            )
        self.alphabet = _alphabet(self.public)
        self.middles = (self.alphabet[:-1] + self.alphabet[1:]) / 2
        turn = self.public.get("value_rotation")
        self.turn: Float32 | None = None if turn is None else np.asarray(turn, dtype=np.float32)
        self.secret = np.asarray(self.public.get("secret_tokens", np.arange(shape.tokens)))
        carried = np.full(shape.tokens, -1)
        carried[self.secret] = np.arange(len(self.secret))
        self.row_of = np.asarray(self.public.get("secret_of_token", carried))
        self.value_bits = shape.d_v * bits_per_number(len(self.alphabet))
        width = self.value_bits
        if self.levels is not None:
            width += payload * bits_per_number(len(self.levels))
        self.bits: Bits = np.zeros((len(self.secret), width), dtype=np.uint8)
        self.extra_K: Float32 = np.empty((0, shape.d_k), dtype=np.float32)
        self.extra_V: Float32 = np.empty((0, shape.d_v), dtype=np.float32)
        self.message_bytes = self.size_bytes()
        if budget_bits is not None and 8 * self.message_bytes > budget_bits:
            raise BudgetTooSmall(self.name, budget_bits, 8 * self.message_bytes)

    @cached_property
    def _known_keys(self) -> _KnownKeys:
        return known_keys(self.keys, self.row_of)

    @property
    def secret_bits(self) -> int:
        """n d_v b, the bits of all values, b = 1 for values of two kinds; and those of payloads."""
        return self.bits.size

    # -- what a subclass says ---------------------------------------------------------------------

    @abstractmethod
    def size_bytes(self) -> int:
        """The length of every message, from public things."""

    @abstractmethod
    def encode(self, bits: Bits) -> Bits:
        """The message's bytes, uint8[size_bytes], of the secret, uint8[secret_bits] in {0, 1}."""

    @abstractmethod
    def decode(self, message: Bits) -> Bits:
        """The bits that a message stands for, uint8[secret_bits]."""

    # -- the contract -----------------------------------------------------------------------------

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Keep the bits of a token whose key is public; any other is a row by itself."""
        row = self._row(np.asarray(k, dtype=np.float32))
        if row is None:
            self.extra_K = np.vstack([self.extra_K, k])
            self.extra_V = np.vstack([self.extra_V, v])
        elif row >= 0:
            self.bits[row] = self._bits_in(k, v)

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """The same for many tokens, in one step where all their keys are public."""
        rows = self._rows(np.asarray(K, dtype=np.float32))
        if rows is None:
            super().extend(Q, K, V)
            return
        mine = rows >= 0
        self.bits[rows[mine]] = self._bits_in(np.asarray(K)[mine], np.asarray(V)[mine])

    def _row(self, key: Float32) -> int | None:
        """The row of a token by its key; None where it is not one of the public ones."""
        d_a = self.keys.shape[1]
        if self.levels is not None and not np.isin(key[d_a:], self.levels).all():
            return None
        token = self._known_keys.token.get(key[:d_a].tobytes())
        return None if token is None else int(self._known_keys.row[token])

    def _rows(self, K: Float32) -> NDArray[np.int64] | None:
        """The rows of tokens, int64[m]; None where a key is not one of the public ones."""
        known, first = self._known_keys, None
        if self.levels is None and len(K):
            first = known.token.get(K[0].tobytes())
        if first is not None:
            # In a game tokens come in the order of their keys.
            same = self.keys[first : first + len(K)]
            if same.tobytes() == K.tobytes():
                return known.row[first : first + len(K)]
        found = [self._row(key) for key in K]
        return None if None in found else np.array(found, dtype=np.int64)

    def _bits_in(self, K: Float32, V: Float32) -> Bits:
        """The bits that keys and values stand for, in the basis in which they stand for bits."""
        plain = np.asarray(V) if self.turn is None else np.asarray(V) @ self.turn.T
        bits = bits_of(level_number(plain, self.middles), len(self.alphabet))
        if self.levels is None:
            return bits
        payload = np.asarray(K)[..., self.keys.shape[1] :]
        number = level_number(payload, (self.levels[:-1] + self.levels[1:]) / 2)
        return np.concatenate([bits, bits_of(number, len(self.levels))], axis=-1)

    def save(self) -> bytes:
        """The bits, encoded.

        Raises:
            PluginFailure: tokens outside the public keys were appended; they are for Bob alone.
        """
        if len(self.extra_K):
            raise PluginFailure(
                f"{self.name} keeps nothing but the tokens of the public keys: "
                f"{len(self.extra_K)} others were appended before it was saved."
            )
        return self.encode(self.bits.reshape(-1)).tobytes()

    def restore(self, message: bytes) -> None:
        """Take over the bits.

        Raises:
            PluginFailure: the message has another length.
        """
        if len(message) != self.message_bytes:
            raise PluginFailure(
                f"a message of {len(message)} bytes is not one of {self.name}'s, which have "
                f"{self.message_bytes}: restore with the shape it was saved with."
            )
        decoded = self.decode(np.frombuffer(message, dtype=np.uint8))
        self.bits = decoded.reshape(self.bits.shape).copy()

    def values(self) -> Float32:
        """The value rows that the message would stand for: float32[n, d_v]."""
        symbols = symbols_of(self._known()[:, : self.value_bits], len(self.alphabet))
        values: Float32 = self.alphabet[symbols]
        if self.turn is not None:
            values = values @ self.turn
        if "known_values" not in self.public:
            every: Float32 = values[self.row_of]
            return every
        whole: Float32 = np.array(self.public["known_values"], dtype=np.float32)
        whole[self.row_of >= 0] = values[self.row_of[self.row_of >= 0]]
        return whole

    def _known(self) -> Bits:
        """The bits that the message would stand for, in rows."""
        return self.decode(self.encode(self.bits.reshape(-1))).reshape(self.bits.shape)

    def _whole_keys(self) -> Float32:
        if self.levels is None:
            return self.keys
        symbols = symbols_of(self._known()[:, self.value_bits :], len(self.levels))
        return np.hstack([self.keys, self.levels[symbols]])

    def _stored(self) -> tuple[Float32, Float32]:
        keys = self._whole_keys()
        if not len(self.extra_K):
            return keys, self.values()
        return np.vstack([keys, self.extra_K]), np.vstack([self.values(), self.extra_V])

    def attend(self, q: Float32) -> Float32:
        """Exact attention over all public keys, whether their tokens came or not, and the rest."""
        answer: Float32 = self._rule().block_outputs(np.asarray(q)[None], *self._stored())[0]
        return answer

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """One kernel call over the stored rows."""
        outputs: Float32 = self._rule().next_outputs(Q, K, V, *self._stored())
        return outputs

    def block_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """The block beside the stored rows, then every q: float32[m, d_v]."""
        stored_K, stored_V = self._stored()
        outputs: Float32 = self._rule().block_outputs(
            Q, np.vstack([stored_K, K]), np.vstack([stored_V, V])
        )
        return outputs

    def _rule(self) -> ModuleType:
        if self.public.get("attention") == "tensor":
            return tensor_attention
        return attention

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs > thresholds[:, None]`` in one kernel call: bool[m, d_v]."""
        bits: NDArray[np.bool_] = attention.next_bits(Q, K, V, *self._stored(), thresholds)
        return bits
