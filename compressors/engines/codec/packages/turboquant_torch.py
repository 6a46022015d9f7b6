"""turboquant-torch: randomised Hadamard, Lloyd-Max levels, and for keys one bit of the residual."""

from __future__ import annotations

from typing import Any

from turboquant import CompressedKV, QJLOutput, TurboQuantKVCache, TurboQuantOutput


class KVCache:
    """``bit_width`` of 2 to 4; the last ``residual_length`` tokens stay as they are."""

    package = "turboquant-torch"
    tensors, layout, dtype = "torch", "bhnd", "float16"
    objects = (CompressedKV, TurboQuantOutput, QJLOutput)

    def __init__(self, d: int, bit_width: int = 3, residual_length: int = 128) -> None:
        self.cache = TurboQuantKVCache(d, bit_width, residual_length)
        # It counts from 32 bits.
        self.ratio = self.cache.value_quantizer.compression_ratio() / 2

    def encode(self, K: Any, V: Any) -> Any:
        """One object for both."""
        return self.cache.compress(K, V)

    def decode(self, data: Any) -> Any:
        """float32[1, heads, n, d], twice."""
        return self.cache.decompress_keys(data), self.cache.decompress_values(data)
