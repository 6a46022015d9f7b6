"""turboquant-vectors: a rotation, levels and a norm a vector; every object has all with it."""

from __future__ import annotations

from typing import Any

from turboquant_vectors.core import CompressedVectors, TurboQuantVectors


class Vectors:
    """``bits`` of 1 to 8, a byte a code."""

    package = "turboquant-vectors"
    objects = (CompressedVectors,)

    def __init__(self, d: int, bits: int = 4) -> None:
        self.quantizer = TurboQuantVectors(d, bits)

    def encode(self, x: Any) -> Any:
        """Its object."""
        return self.quantizer.compress(x)

    def decode(self, data: Any) -> Any:
        """float32[n, d]."""
        return self.quantizer.decompress(data)

    def ratio(self, data: Any) -> float:
        """Its own word, which counts from 32 bits, and codes as if they were packed."""
        return float(data.compression_ratio) / 2
