"""Controls that know the game: what is secret about a token is d_v bits, its key is public.

They read ``public["keys"]`` (float32[n, d_k], row l the key of token l) and ``public["values"]``
(``"01"`` or ``"pm1"``, the two values a bit stands for), keep bits only, and attend exactly over
the public keys with the values that the bits stand for. Where not every token is secret,
``public["secret_tokens"]`` says which are and ``public["known_values"]`` has the others' values;
where several tokens carry one row of the secret, ``public["secret_of_token"]`` (int64[n]) says
which, -1 for a token without, and ``secret_tokens`` has one token a row. A token is recognised by
its key, so no counter is kept: whatever the order and wherever the stream is cut, the state is the
bits. A token whose key is not public, Bob's, is one more row.

The rule is ``public["attention"]``: softmax, or the tensor attention of two key and two value
caches. On the unmasked window's hard stream the tokens outside are all zero, so softmax over
everything is that rule.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, BudgetTooSmall, PluginFailure
from .contract import Compressor, Float32, Shape

Bits = NDArray[np.uint8]


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

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        if "keys" not in self.public or "values" not in self.public:
            raise BadInput(
                f"{self.name} knows the game: build it with public keys and values, as attack does."
            )
        self.keys = np.ascontiguousarray(self.public["keys"], dtype=np.float32)
        if self.keys.shape != (shape.tokens, shape.d_k):
            raise BadInput(
                f"{self.name} needs a public key for every token: {shape.tokens} of {shape.d_k} "
                f"numbers, not an array of shape {self.keys.shape}."
            )
        low, high = (0.0, 1.0) if self.public["values"] == "01" else (-1.0, 1.0)
        self.alphabet = np.array([low, high], dtype=np.float32)
        self.middle = (low + high) / 2
        turn = self.public.get("value_rotation")
        self.turn: Float32 | None = None if turn is None else np.asarray(turn, dtype=np.float32)
        self.secret = np.asarray(self.public.get("secret_tokens", np.arange(shape.tokens)))
        carried = np.full(shape.tokens, -1)
        carried[self.secret] = np.arange(len(self.secret))
        self.row_of = np.asarray(self.public.get("secret_of_token", carried))
        self.bits: Bits = np.zeros((len(self.secret), shape.d_v), dtype=np.uint8)
        self.extra_K: Float32 = np.empty((0, shape.d_k), dtype=np.float32)
        self.extra_V: Float32 = np.empty((0, shape.d_v), dtype=np.float32)
        self.message_bytes = self.size_bytes()
        if budget_bits is not None and 8 * self.message_bytes > budget_bits:
            raise BudgetTooSmall(self.name, budget_bits, 8 * self.message_bytes)

    @property
    def secret_bits(self) -> int:
        """n d_v, the bits of all values."""
        return self.bits.size

    @cached_property
    def rows(self) -> dict[bytes, int]:
        """The row of ``bits`` of each public key, by its bytes; -1 where nothing is secret."""
        rows = dict.fromkeys((key.tobytes() for key in self.keys), -1)
        carriers = np.flatnonzero(self.row_of >= 0)
        return rows | {self.keys[token].tobytes(): int(self.row_of[token]) for token in carriers}

    # -- what a subclass says ---------------------------------------------------------------------

    @abstractmethod
    def size_bytes(self) -> int:
        """The length of every message, from public things."""

    @abstractmethod
    def encode(self, bits: Bits) -> Bits:
        """The message's bytes, uint8[size_bytes], of the secret bits, uint8[n d_v] in {0, 1}."""

    @abstractmethod
    def decode(self, message: Bits) -> Bits:
        """The bits that a message stands for, uint8[n d_v]."""

    # -- the contract -----------------------------------------------------------------------------

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Keep the bits of a token whose key is public; any other is a row by itself."""
        row = self.rows.get(np.asarray(k, dtype=np.float32).tobytes())
        if row is None:
            self.extra_K = np.vstack([self.extra_K, k])
            self.extra_V = np.vstack([self.extra_V, v])
        elif row >= 0:
            self.bits[row] = self._turned_back(v) > self.middle

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """The same for many tokens, in one step where all their keys are public."""
        found = [self.rows.get(key.tobytes()) for key in np.asarray(K, dtype=np.float32)]
        if None in found:
            super().extend(Q, K, V)
            return
        rows = np.array(found, dtype=np.int64)
        self.bits[rows[rows >= 0]] = self._turned_back(np.asarray(V)[rows >= 0]) > self.middle

    def _turned_back(self, V: Float32) -> Float32:
        """Values in the basis in which they are bits."""
        return np.asarray(V) if self.turn is None else np.asarray(V) @ self.turn.T

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
        known = self.decode(self.encode(self.bits.reshape(-1)))
        values: Float32 = self.alphabet[known].reshape(self.bits.shape)
        if self.turn is not None:
            values = values @ self.turn
        if "known_values" not in self.public:
            every: Float32 = values[self.row_of]
            return every
        whole: Float32 = np.array(self.public["known_values"], dtype=np.float32)
        whole[self.row_of >= 0] = values[self.row_of[self.row_of >= 0]]
        return whole

    def _stored(self) -> tuple[Float32, Float32]:
        if not len(self.extra_K):
            return self.keys, self.values()
        return np.vstack([self.keys, self.extra_K]), np.vstack([self.values(), self.extra_V])

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
        from ..reductions import attention

        if self.public.get("attention") == "tensor":
            from ..reductions import tensor_attention

            return tensor_attention
        return attention

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs > thresholds[:, None]`` in one kernel call: bool[m, d_v]."""
        from ..reductions.attention import next_bits

        bits: NDArray[np.bool_] = next_bits(Q, K, V, *self._stored(), thresholds)
        return bits
