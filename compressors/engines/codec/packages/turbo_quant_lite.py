"""turbo-quant-lite: TurboQuant in NumPy, with the levels of dimension 512 in every dimension."""

from __future__ import annotations

from typing import Any

import numpy as np
from turbo_quant_lite import TurboQuant, pack, unpack


class Vectors:
    """``bits`` of 1 to 4, every token's bytes as its ``pack`` makes them."""

    package = "turbo-quant-lite"

    def __init__(self, d: int, bits: int = 4) -> None:
        self.d, self.bits, self.quantizer = d, bits, TurboQuant(dim=d, bits=bits)
        # It counts from 32 bits.
        self.ratio = self.quantizer.compression_ratio() / 2

    def encode(self, x: Any) -> Any:
        """uint8[n, bytes of a token]."""
        rows = zip(*self.quantizer.encode_batch(x), strict=True)
        packed = [pack(indices, float(norm), self.bits) for indices, norm in rows]
        return np.frombuffer(b"".join(packed), np.uint8).reshape(len(x), -1)

    def decode(self, data: Any) -> Any:
        """float64[n, d]."""
        rows = [unpack(row.tobytes(), self.d, self.bits) for row in data]
        indices, norms = (np.array(part) for part in zip(*rows, strict=True))
        return self.quantizer.decode_batch(indices, norms)
