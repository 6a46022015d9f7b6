"""Compressors on the streams of Theorem 19, which does not speak of them: they read every token.

``PatternCache`` keeps exactly the tokens that a read pattern's plan names, in fp16, and answers as
the pattern does; so its error is the pattern's, and its memory is what its reads would be.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ...compressors.plugin.contract import Compressor, Float32, Shape, charged_bits
from ...compressors.readers.patterns import ReadPattern, filled_attention, read_by
from ...compressors.readers.targets import resolve_reader
from ...protocols.game import coins
from ...protocols.game.query_game import QueryInstance, hidden_place
from ...reductions.indistinguishability import acceptable


class PatternCache(Compressor):
    """The tokens of a plan, in fp16.

    Args:
        pattern: a name of ``compressors.readers.targets``. share: its knob.
    """

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        *,
        pattern: str = "sampling",
        share: float = 0.5,
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        self.keeps = read_by(_pattern(pattern, share), shape.tokens + 1, shape.d_k, seed)
        self.rows = np.zeros((len(self.keeps), shape.d_k + shape.d_v), dtype=np.float16)
        self.seen = 0
        self.message_bytes = self.rows.nbytes

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Keep it, if the plan reads it."""
        self.rows[self.keeps == self.seen] = np.concatenate([k, v])
        self.seen += 1

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Keep those of the plan."""
        mine = (self.keeps >= self.seen) & (self.keeps < self.seen + len(K))
        at = self.keeps[mine] - self.seen
        self.rows[mine] = np.hstack([K[at], V[at]])
        self.seen += len(K)

    def save(self) -> bytes:
        """The rows; which tokens they are is public."""
        return self.rows.tobytes()

    def restore(self, message: bytes) -> None:
        """Take over the rows of a whole stream."""
        self.rows = np.frombuffer(message, dtype=np.float16).reshape(self.rows.shape)
        self.seen = self.shape.tokens

    def attend(self, q: Float32) -> Float32:
        """The pattern's answer over the stream as it is."""
        return filled_attention(q, *self._held(), self.shape.tokens)

    def _held(self) -> tuple[Float32, Float32]:
        rows = self.rows.astype(np.float32)
        return rows[:, : self.shape.d_k], rows[:, self.shape.d_k :]

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the pattern's answer if triple r came next."""
        held_k, held_v = self._held()
        return np.stack(
            [
                filled_attention(
                    q, np.vstack([held_k, k]), np.vstack([held_v, v]), self.shape.tokens + 1
                )
                for q, k, v in zip(Q, K, V, strict=True)
            ]
        )


@lru_cache(maxsize=32)
def _pattern(name: str, share: float) -> ReadPattern:
    pattern: ReadPattern = resolve_reader(name, {"share": share}).build()
    return pattern


def compressor_trial(
    cls: type[Compressor], params: Mapping[str, Any], instance: QueryInstance, number: int
) -> tuple[bool, int]:
    """One trial with the committed keys: whether it erred, and the charged bits of its message.

    Alice takes the n-1 earlier tokens in, Bob restores her message and meets the newest.
    """
    key = coins.COMMITTED_KEYS["experiments"]
    family = instance.build()
    seed = coins.public_seed(key, instance.id, number)
    shape = Shape(instance.n - 1, instance.d, instance.d, extra=1)
    hidden = hidden_place(key, instance, number, "prior")
    q, K, V = family.stream(hidden)
    alice, bob = (cls(shape, None, seed, {}, **params) for _ in "ab")
    alice.extend(np.zeros_like(K[:-1]), K[:-1], V[:-1])
    message = alice.save()
    bob.restore(message)
    output = bob.next_outputs(q[None], K[-1:], V[-1:])[0]
    return not acceptable(family, hidden, output), charged_bits(len(message), alice.message_bytes)
