"""gguf: the block formats of llama.cpp, by the NumPy code that writes and reads model files."""

from __future__ import annotations

from typing import Any

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize


class Blocks:
    """``kind`` of Q8_0, Q5_1, Q5_0, Q4_1, Q4_0, MXFP4, TQ2_0 or TQ1_0 (those in blocks of 256)."""

    package = "gguf"

    def __init__(self, d: int, kind: str = "Q4_0") -> None:
        self.d, self.kind = d, GGMLQuantizationType[kind]
        numbers, size = GGML_QUANT_SIZES[self.kind]
        self.block, self.ratio = numbers, 2 * numbers / size

    def encode(self, x: Any) -> Any:
        """uint8, blocks of rows or, where d is shorter than a block, of all numbers in order."""
        flat = x if self.d % self.block == 0 else x.reshape(-1, self.block)
        return quantize(np.ascontiguousarray(flat), self.kind)

    def decode(self, data: Any) -> Any:
        """float32[n, d]."""
        return dequantize(data, self.kind).reshape(-1, self.d)
