"""llm-contextlens: a direction of four for every key, values projected to half of the channels."""

from __future__ import annotations

from typing import Any

from contextlens.compressor import CompressedKCache, CompressedVCache, TurboQuantCompressor


class KV:
    """Its only setting, three bits, as its own ``decompress_for_attention`` calls it."""

    package = "llm-contextlens"
    tensors, layout, dtype = "torch", "bhnd", "float16"
    objects = (CompressedKCache, CompressedVCache)

    def __init__(self) -> None:
        self.compressor = TurboQuantCompressor(bits=3)

    def encode(self, k: Any, v: Any) -> Any:
        """Its two objects."""
        return self.compressor.compress_k_cache(k, 0), self.compressor.compress_v_cache(v, 0)

    def decode(self, data: Any) -> Any:
        """float16[1, heads, n, d] each."""
        k, v = data
        return self.compressor.decompress_k_cache(k), self.compressor.decompress_v_cache(v)
