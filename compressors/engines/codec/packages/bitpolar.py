"""bitpolar: TurboQuant in Rust; polar codes and a sketch of the residual, a vector at a time."""

from __future__ import annotations

from typing import Any

import bitpolar
import numpy as np


class Vectors:
    """``bits`` of 3 to 8 and ``projections`` of the residual, a quarter of d as in its examples."""

    package = "bitpolar"

    def __init__(self, d: int, bits: int = 4, projections: int | None = None) -> None:
        sketch = d // 4 if projections is None else projections
        self.quantizer = bitpolar.TurboQuantizer(dim=d, bits=bits, projections=sketch, seed=42)

    def encode(self, x: Any) -> Any:
        """A code a vector."""
        return [self.quantizer.encode(row) for row in x]

    def decode(self, data: Any) -> Any:
        """float32[n, d]."""
        return np.stack([self.quantizer.decode(code) for code in data])
