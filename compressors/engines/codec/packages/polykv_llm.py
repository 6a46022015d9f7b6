"""polykv-llm: a fixed Hadamard matrix and eight levels, a byte a code, a norm a row."""

from __future__ import annotations

from typing import Any

from polykv.turboquant import TurboQuantMSE


class Mse:
    """Its values' quantiser: three bits, whatever ``bits`` says."""

    package = "polykv-llm"
    tensors, dtype = "torch", "float16"

    def __init__(self, d: int, bits: int = 3) -> None:
        self.quantizer = TurboQuantMSE(d, bits)

    def encode(self, x: Any) -> Any:
        """Codes and norms."""
        return self.quantizer.quantize(x)

    def decode(self, data: Any) -> Any:
        """float32[n, d]."""
        return self.quantizer.dequantize(*data)
