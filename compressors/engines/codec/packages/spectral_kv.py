"""spectral-kv: a random rotation, codes of a row by its mean and deviation, a sign of the residual.

Its projection to few dimensions is calibrated on a model; this is what it stores of the projected.
"""

from __future__ import annotations

from typing import Any

from spectral_kv.compressor import CompressedKV, JarvisKVCompressor


class Jarvis:
    """``bits`` of 1, 2, 3, 4 or 8, a byte a code."""

    package = "spectral-kv"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(self, d: int, n: int, heads: int, bits: int = 4) -> None:
        self.codec = JarvisKVCompressor(bits=bits, head_dim=d, device="cpu")
        self.known = {"shape": (1, heads, n, d), "bits": bits}
        self.ratio = self.codec.compression_ratio()

    def encode(self, x: Any) -> Any:
        """Codes, scales, offsets and signs."""
        made = self.codec.compress(x)
        return made.indices, made.scales, made.offsets, made.signs

    def decode(self, data: Any) -> Any:
        """float32[1, heads, n, d]."""
        return self.codec.decompress(CompressedKV(*data, **self.known))
