"""akv-cache: minimum and maximum of every ``group_size`` channels of a row, codes packed.

A row shorter than a group is filled up with zeros, which are packed as well.
"""

from __future__ import annotations

from typing import Any

from akv.quantizer import KVQuantizer, QuantConfig, QuantizedTensor


class Quantizer:
    """``bits`` of 2, 4 or 8; ``group_size`` is 128 unless one says otherwise."""

    package = "akv-cache"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(
        self, d: int, n: int, heads: int, bits: int = 4, group_size: int = 128,
        symmetric: bool = False,
    ) -> None:  # fmt: skip
        self.quantizer = KVQuantizer(QuantConfig(bits, group_size, symmetric))
        self.known = {"shape": (1, heads, n, d), "bits": bits, "group_size": group_size}

    def encode(self, x: Any) -> Any:
        """Packed codes, scales and minima."""
        made = self.quantizer.quantize(x)
        return made.data, made.scales, made.zeros

    def decode(self, data: Any) -> Any:
        """float32[1, heads, n, d]."""
        return self.quantizer.dequantize(QuantizedTensor(*data, **self.known))

    def ratio(self, data: Any) -> float:
        """Its own word."""
        return float(QuantizedTensor(*data, **self.known).compression_ratio)
