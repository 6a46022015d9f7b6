"""adaptivekv: minimum and maximum of every ``group_size`` numbers in order, codes packed."""

from __future__ import annotations

from typing import Any

import torch
from adaptivekv.config import QuantizerConfig
from adaptivekv.quantizer import CompressedTensor, GroupQuantizer


class Groups:
    """``bits`` of 2, 3 or 4; ``symmetric`` around zero."""

    package = "adaptivekv"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(
        self, d: int, n: int, heads: int, bits: int = 4, group_size: int = 64,
        symmetric: bool = False,
    ) -> None:  # fmt: skip
        self.quantizer = GroupQuantizer(QuantizerConfig(bits, group_size, symmetric))
        shape = torch.Size([1, heads, n, d])
        self.known = {
            "shape": shape, "bit_width": bits, "group_size": group_size, "symmetric": symmetric,
            "dtype": torch.bfloat16, "padding": -shape.numel() % group_size,
        }  # fmt: skip

    def encode(self, x: Any) -> Any:
        """Packed codes, scales and zero points."""
        made = self.quantizer.quantize(x)
        return made.packed_data, made.scales, made.zero_points

    def decode(self, data: Any) -> Any:
        """bf16[1, heads, n, d]."""
        return self.quantizer.dequantize(self._whole(data))

    def ratio(self, data: Any) -> float:
        """Its own word."""
        return float(self._whole(data).compression_ratio)

    def _whole(self, data: Any) -> CompressedTensor:
        return CompressedTensor(*data, **self.known)
