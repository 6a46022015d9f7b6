"""turboagents: angles of a rotated row in spherical coordinates and a sketch, in its own bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from turboagents.quant.config import Config
from turboagents.quant.pipeline import dequantize, quantize
from turboagents.quant.types import CompressedVector


class Vectors:
    """``bits`` of 2, 2.5, 3, 3.5 or 4; a payload with a header a row."""

    package = "turboagents"

    def __init__(self, d: int, bits: float = 3.5) -> None:
        self.config = Config(bits=float(bits), head_dim=d)
        self.ratio = self.config.compression_ratio_vs_fp16
        # Its module keeps the codebooks that it computes: once for all messages.
        quantize(np.ones(d, np.float32), self.config)

    def encode(self, x: Any) -> Any:
        """Its bytes, row by row."""
        return [quantize(row, self.config).to_bytes() for row in x]

    def decode(self, data: Any) -> Any:
        """float64[n, d]."""
        rows = [dequantize(CompressedVector.from_bytes(one), self.config) for one in data]
        return np.stack(rows)
