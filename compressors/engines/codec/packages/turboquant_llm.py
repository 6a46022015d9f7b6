"""turboquant-llm: a rotation, one minimum and maximum for all numbers, int64 codes and a sketch.

Every object has both matrices with it; its docstring says that a real system would not.
"""

from __future__ import annotations

from typing import Any

from turboquant_llm.compressor import CompressedBatch, TurboQuantCompressor
from turboquant_llm.config import TurboQuantConfig


class Batch:
    """``bits`` of the codes; what it reconstructs leaves the sketch out."""

    package = "turboquant-llm"
    objects = (CompressedBatch,)

    def __init__(self, d: int, bits: int = 4) -> None:
        self.compressor = TurboQuantCompressor(d, TurboQuantConfig(bits_main=bits))

    def encode(self, x: Any) -> Any:
        """Its object."""
        return self.compressor.compress(x)

    def decode(self, data: Any) -> Any:
        """float64[n, d]."""
        return self.compressor.reconstruct_first_stage(data)
