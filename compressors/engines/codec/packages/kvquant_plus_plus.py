"""kvquant-plus-plus: TurboQuant's two quantisers as it has them in PyTorch."""

from __future__ import annotations

from typing import Any

from kvquant.quantizer import KVQuantIP, KVQuantMSE, QuantizedIP, QuantizedMSE


class Mse:
    """``num_bits`` of 1 to 8; a code is an int64."""

    package = "kvquant-plus-plus"
    tensors, layout, dtype = "torch", "bhnd", "float32"
    objects = (QuantizedMSE,)

    def __init__(self, d: int, num_bits: int = 2) -> None:
        self.quantizer = KVQuantMSE(d, num_bits)

    def encode(self, x: Any) -> Any:
        """Its tuple: codes, norms and the shape."""
        made = self.quantizer.quantize(x)
        return made._replace(shape=tuple(made.shape))

    def decode(self, data: Any) -> Any:
        """float32[1, heads, n, d]."""
        return self.quantizer.dequantize(data)


class InnerProduct:
    """One bit less, and a sketch of what is left."""

    package = "kvquant-plus-plus"
    tensors, layout, dtype = "torch", "bhnd", "float32"
    objects = (QuantizedIP,)

    def __init__(self, d: int, num_bits: int = 3) -> None:
        self.quantizer = KVQuantIP(d, num_bits)

    def encode(self, x: Any) -> Any:
        """Its tuple: codes, signs, norms and the shape."""
        made = self.quantizer.quantize(x)
        return made._replace(shape=tuple(made.shape))

    def decode(self, data: Any) -> Any:
        """float32[1, heads, n, d]."""
        return self.quantizer.dequantize(data)
