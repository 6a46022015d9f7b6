"""zerokv-neo: outlier channels in 16 bits, the rest in log radius, prototype and a sketch."""

from __future__ import annotations

from typing import Any

from zerokv.quant import CompressedBlock, compress_kv_tensor, compressed_kv_nbytes
from zerokv.quant import decompress_kv_tensor as decompressed


class Block:
    """``r_bits`` of the radius, ``theta_bits`` of the prototype, ``qjl_dim`` signs a row."""

    package = "zerokv-neo"
    tensors, layout, dtype = "torch", "bhnd", "float16"

    def __init__(
        self, d: int, n: int, heads: int, r_bits: int = 3, theta_bits: int = 2, qjl_dim: int = 8
    ) -> None:
        self.given = {"r_bits": r_bits, "theta_bits": theta_bits, "qjl_dim": qjl_dim}
        self.bytes_16 = 2 * heads * n * d

    def encode(self, x: Any) -> Any:
        """Its payload, by name."""
        payload = compress_kv_tensor(x, **self.given).payload
        return {**payload, "shape": tuple(payload["shape"])}

    def decode(self, data: Any) -> Any:
        """float16[1, heads, n, d]."""
        return decompressed(CompressedBlock(data))

    def ratio(self, data: Any) -> float:
        """Its own count of bytes."""
        return float(self.bytes_16 / compressed_kv_nbytes(CompressedBlock(data)))
