"""fastvq: pairs of channels as a radius and a code of their angle, and a sketch of the rest."""

from __future__ import annotations

from typing import Any

from ..apart import apart

_theirs = apart("fastvq", "turboquant.kv_cache")


class KV:
    """``bit_width`` of 2 to 4, of which the sketch has one where ``use_qjl`` is set."""

    package = "fastvq"
    layout = "bhnd"
    objects = (_theirs.TurboQuantConfig,)

    def __init__(self, d: int, bit_width: int = 3, use_qjl: bool = True) -> None:
        self.compressor = _theirs.KVCacheCompressor(bit_width, block_size=d, use_qjl=use_qjl)
        stats = self.compressor.compute_memory_stats(1, n_heads=1, head_dim=d)
        self.ratio = stats["compression_ratio"]

    def encode(self, K: Any, V: Any) -> Any:
        """Two of its dicts."""
        return self.compressor.compress_kv(K, V)

    def decode(self, K: Any, V: Any) -> Any:
        """float32[1, heads, n, d], twice."""
        return self.compressor.decompress_k(K), self.compressor.decompress_v(V)
