"""Control: no memory at all. The empty message, every answer zero, half of the bits wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...catalog_entry import CatalogEntry
from ...plugin.contract import Compressor, Float32


class Zero(Compressor):
    """Forgets everything; answers 0."""

    name = "zero"
    message_bytes = 0

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Forget it."""

    def attend(self, q: Float32) -> Float32:
        """Answer zero."""
        return np.zeros(self.shape.d_v, dtype=np.float32)

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Forget them."""

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Answer zero."""
        return np.zeros((len(Q), self.shape.d_v), dtype=np.float32)

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs > thresholds[:, None]``."""
        return np.broadcast_to(thresholds[:, None] < 0, (len(Q), self.shape.d_v)).copy()


ENTRY = CatalogEntry(
    Zero,
    summary="the empty message, every answer 0",
    source="control: no memory, half of the bits wrong",
    budgets="any",
    attention="any",
    control=True,
)
