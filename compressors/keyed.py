"""Controls that know the game: what is secret about a token is d_v bits, its key is public.

They read ``public["keys"]`` (float32[n, d_k], row l the key of token l) and ``public["values"]``
(``"01"`` or ``"pm1"``, the two values a bit stands for), keep bits only, and attend exactly over
the public keys with the values that the bits stand for. A token is recognised by its key, so no
counter is kept: whatever the order and wherever the stream is cut, the state is the bits. A token
whose key is not public, Bob's, is one more row.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
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
        self.bits: Bits = np.zeros((shape.tokens, shape.d_v), dtype=np.uint8)
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
        """The row of each public key, by its bytes."""
        return {key.tobytes(): row for row, key in enumerate(self.keys)}

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
        else:
            self.bits[row] = np.asarray(v) > self.middle

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """The same for many tokens, in one step where all their keys are public."""
        rows = [self.rows.get(key.tobytes(), -1) for key in np.asarray(K, dtype=np.float32)]
        if -1 in rows:
            super().extend(Q, K, V)
        else:
            self.bits[rows] = np.asarray(V) > self.middle

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
        return values

    def _stored(self) -> tuple[Float32, Float32]:
        if not len(self.extra_K):
            return self.keys, self.values()
        return np.vstack([self.keys, self.extra_K]), np.vstack([self.values(), self.extra_V])

    def attend(self, q: Float32) -> Float32:
        """Exact attention over all public keys, whether their tokens came or not, and the rest."""
        from ..reductions.attention import attention

        return np.asarray(attention(q, *self._stored()), dtype=np.float32)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """One kernel call over the stored rows."""
        from ..reductions.attention import next_outputs

        outputs: Float32 = next_outputs(Q, K, V, *self._stored())
        return outputs

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs > thresholds[:, None]`` in one kernel call: bool[m, d_v]."""
        from ..reductions.attention import next_bits

        bits: NDArray[np.bool_] = next_bits(Q, K, V, *self._stored(), thresholds)
        return bits
