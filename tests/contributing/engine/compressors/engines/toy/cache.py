"""Keys and values in two arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import Engine, attention_over
from ..memories import Memories


class ToyEngine(Engine):
    """Keeps every token in float32."""

    packages = ("numpy",)

    def _prefill(self, Q: Any, K: Any, V: Any) -> None:
        self.K, self.V = K.copy(), V.copy()

    def _ask_masked(self, Q: Any, K: Any, V: Any) -> Any:
        return attention_over(*self._rows(), Q, K, V)

    def _rows(self) -> Any:
        layers, heads = self.K.shape[1:3]
        return tuple(
            [[X[:, a, b] for b in range(heads)] for a in range(layers)] for X in (self.K, self.V)
        )

    def memories(self) -> Memories:
        """Its two arrays."""
        return Memories(logical=2 * self.K.nbytes, resident=2 * self.K.nbytes)

    def _message(self) -> bytes:
        """K, then V."""
        return bytes(self.K.tobytes() + self.V.tobytes())

    def _take(self, message: bytes) -> None:
        shape = self.shape
        token = (shape.layers, shape.kv_heads)
        rows = np.frombuffer(message, np.float32)
        half = shape.tokens * shape.layers * shape.kv_heads * shape.d_k
        self.K = rows[:half].reshape(shape.tokens, *token, shape.d_k)
        self.V = rows[half:].reshape(shape.tokens, *token, shape.d_v)
