"""turboquantdc: TurboQuant with a sign of every residual coordinate instead of a sketch."""

from __future__ import annotations

from typing import Any

from turboquantdc.residual_quant import ResidualQuantEstimator


class Residual:
    """``bits`` of 2 to 8, one of them the sign; codes are int64, signs are floats."""

    package = "turboquantdc"
    tensors, dtype = "torch", "float32"

    def __init__(self, d: int, bits: int = 3) -> None:
        self.quantizer = ResidualQuantEstimator(d, bits)

    def encode(self, x: Any) -> Any:
        """Its dict: codes, signs, scales and norms."""
        return self.quantizer.quantize(x)

    def decode(self, data: Any) -> Any:
        """float32[n, d]."""
        return self.quantizer.dequantize(data)
