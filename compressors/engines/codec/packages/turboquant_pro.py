"""turboquant-pro: TurboQuant in NumPy, and a quantiser by channel for keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from turboquant_pro.core import CompressedKV, TurboQuantKV
from turboquant_pro.per_channel_kv import CompressedPerChannelKV, PerChannelKV


class TurboKV:
    """``bits`` of 2, 3 or 4, packed or, as is its default, a byte each."""

    package = "turboquant-pro"
    layout = "bhnd"

    def __init__(
        self, d: int, heads: int, n: int, seed: int, bits: int = 3, packed: bool = True
    ) -> None:
        # Its own default seed is the machine's entropy, with which nobody else can decode.
        self.codec = TurboQuantKV(head_dim=d, n_heads=heads, bits=bits, use_gpu=False, seed=seed)
        self.known = {"bits": bits, "packed": packed, "n_values": heads * n * d,
                      "shape": (1, heads, n, d)}  # fmt: skip
        self.ratio = self.codec.compression_ratio(packed)

    def encode(self, x: Any) -> Any:
        """Indices and norms."""
        made = self.codec.compress(x, packed=bool(self.known["packed"]))
        return made.indices, made.norms

    def decode(self, data: Any) -> Any:
        """float32[1, heads, n, d]."""
        return self.codec.decompress(CompressedKV(*data, **self.known))


class PerChannel:
    """``bits`` of 2, 3 or 4; ``nf4_asym`` is what it recommends for keys, at 4 bits."""

    package = "turboquant-pro"
    layout = "bhnd"

    def __init__(
        self, d: int, heads: int, n: int, bits: int = 4, nuq: bool = False, nf4_asym: bool = False
    ) -> None:
        self.codec = PerChannelKV(d, heads, bits, nuq=nuq, nf4_asym=nf4_asym)
        self.known = {"bits": bits, "packed": True, "shape": (1, heads, n, d)}

    def encode(self, x: Any) -> Any:
        """Its arrays, by name."""
        made = vars(self.codec.compress(x, packed=True))
        return {k: v for k, v in made.items() if isinstance(v, np.ndarray)}

    def decode(self, data: Any) -> Any:
        """float32[1, heads, n, d]."""
        rest = {"scale": None, "zero": None}
        return self.codec.decompress(CompressedPerChannelKV(**{**rest, **data}, **self.known))
