"""turborag: a rotation, and levels of equal width between -1 and 1, packed; its rows are of norm 1.

An index that is told so makes them: what it stores has no norm.
"""

from __future__ import annotations

from typing import Any

from turborag.compress import dequantize_qjl, generate_rotation, normalize_rows, quantize_qjl


class Vectors:
    """``bits`` of 2 to 4."""

    package = "turborag"

    def __init__(self, d: int, bits: int = 3) -> None:
        self.d, self.bits = d, bits
        self.rotation = generate_rotation(d, 0)

    def encode(self, x: Any) -> Any:
        """Its packed codes."""
        return quantize_qjl(normalize_rows(x) @ self.rotation, self.bits)

    def decode(self, data: Any) -> Any:
        """float32[n, d], each of about norm 1."""
        return dequantize_qjl(data, self.d, self.bits) @ self.rotation.T
