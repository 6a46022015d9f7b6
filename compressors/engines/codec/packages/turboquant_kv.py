"""turboquant-kv: a rotation, Lloyd-Max levels, and a sign a channel of the residual."""

from __future__ import annotations

from typing import Any

from ..apart import apart

_theirs = apart("turboquant-kv", "turboquant")


class Prod:
    """``bits``, of which the sketch has one."""

    package = "turboquant-kv"
    tensors, layout = "torch", "bhnd"

    def __init__(self, d: int, bits: int = 3) -> None:
        self.quantizer = _theirs.TurboQuantProd(bits=bits, head_dim=d, device="cpu", seed=0)

    def encode(self, K: Any, V: Any) -> Any:
        """A dict of tensors."""
        return self.quantizer.compress(K, V)

    def decode(self, data: Any) -> Any:
        """float32[1, heads, n, d], twice."""
        return self.quantizer.decompress(data)
