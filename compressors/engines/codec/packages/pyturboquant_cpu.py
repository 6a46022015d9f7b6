"""pyturboquant-cpu: TurboQuant in NumPy; every object has its rotation with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyturboquant_cpu.quantizer import (
    QuantizedMSE,
    QuantizedProd,
    dequantize_mse,
    dequantize_prod,
    quantize_mse,
    quantize_prod,
)


class Mse:
    """``bits`` of 1 to 8, packed."""

    package = "pyturboquant-cpu"
    objects = (QuantizedMSE,)

    def __init__(self, d: int, bits: int = 4) -> None:
        self.bits = bits
        # Its module keeps the levels that it computes: once for all messages.
        self.encode(np.ones((1, d)))

    def encode(self, x: Any) -> Any:
        """Its object."""
        return quantize_mse(x, self.bits, seed=0)

    def decode(self, data: Any) -> Any:
        """float64[n, d]."""
        return dequantize_mse(data)


class Prod:
    """``bits`` of 2 to 8, one of them a sketch of the residual."""

    package = "pyturboquant-cpu"
    objects = (QuantizedMSE, QuantizedProd)

    def __init__(self, d: int, bits: int = 4) -> None:
        self.bits = bits
        self.encode(np.ones((1, d)))

    def encode(self, x: Any) -> Any:
        """Its object."""
        return quantize_prod(x, self.bits, seed=0)

    def decode(self, data: Any) -> Any:
        """float64[n, d]."""
        return dequantize_prod(data)
