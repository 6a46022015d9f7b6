"""zfpy: zfp, floating-point arrays of simulations at a fixed number of bits."""

from __future__ import annotations

from typing import Any

import zfpy


class Rate:
    """``rate`` bits a number, in blocks of 4 tokens by 4 coordinates."""

    package = "zfpy"

    def __init__(self, rate: float = 4) -> None:
        self.rate, self.ratio = rate, 16 / rate

    def encode(self, x: Any) -> bytes:
        """Its own bytes."""
        data: bytes = zfpy.compress_numpy(x, rate=self.rate)
        return data

    def decode(self, data: bytes) -> Any:
        """float32[n, d]."""
        return zfpy.decompress_numpy(data)
