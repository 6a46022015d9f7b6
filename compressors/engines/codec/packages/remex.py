"""remex: compressed embeddings; a randomised Hadamard rotation and Lloyd-Max levels in NumPy."""

from __future__ import annotations

from typing import Any

import remex


class Vectors:
    """``bits`` of 1, 2, 3, 4 or 8, packed."""

    package = "remex"

    def __init__(self, d: int, n: int, bits: int = 4) -> None:
        self.n, self.d, self.bits = n, d, bits
        self.quantizer = remex.Quantizer(d, bits=bits)

    def encode(self, x: Any) -> Any:
        """Packed codes and norms."""
        made = remex.PackedVectors.from_compressed(self.quantizer.encode(x))
        return made._packed, made.norms

    def decode(self, data: Any) -> Any:
        """float32[n, d]."""
        rotation, seed = self.quantizer.rotation, self.quantizer.seed
        packed = remex.PackedVectors(*data, self.n, self.d, self.bits, rotation, seed=seed)
        return self.quantizer.decode(packed.to_compressed())
