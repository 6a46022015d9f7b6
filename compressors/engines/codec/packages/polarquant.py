"""polarquant: a fixed Hadamard rotation and Lloyd-Max levels, one bf16 norm a vector."""

from __future__ import annotations

from typing import Any

from polarengine_vllm.kv_cache import PolarKVConfig, PolarKVQuantizer


class KV:
    """``nbits`` of 2, 3 or 4, without the tail of recent tokens that its cache keeps in bf16."""

    package = "polarquant"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(self, d: int, n: int, heads: int, nbits: int = 3) -> None:
        self.quantizer = PolarKVQuantizer(head_dim=d, nbits=nbits, device="cpu")
        self.shape = (1, heads, n, d)
        self.ratio = PolarKVConfig(nbits=nbits, head_dim=d).compression_ratio

    def encode(self, x: Any) -> Any:
        """Packed codes and norms."""
        return self.quantizer.quantize(x)

    def decode(self, data: Any) -> Any:
        """bf16[1, heads, n, d]."""
        return self.quantizer.dequantize(*data, self.shape)
