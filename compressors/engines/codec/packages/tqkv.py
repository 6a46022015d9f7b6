"""tqkv: two rounds of signs around a Hadamard matrix, Lloyd-Max levels, packed."""

from __future__ import annotations

from typing import Any

import torch
from tqa import core


class Packed:
    """``bits`` of 2 to 8; a norm of 32 bits a row."""

    package = "tqkv"
    tensors, dtype = "torch", "float32"

    def __init__(self, d: int, bits: int = 4) -> None:
        self.d, self.bits = d, bits
        padded = core.padded_dim(d)
        signs = core.generate_wht_signs(padded, 0)
        self.forth = core.build_rotation_matrix(*signs)
        self.back = core.build_inv_rotation_matrix(*signs)
        self.levels, self.borders = (
            torch.as_tensor(one, dtype=torch.float32) for one in core.compute_codebook(bits, d)
        )

    def encode(self, x: Any) -> Any:
        """Packed codes and norms."""
        codes, norms = core.quantize(x, self.forth, self.levels, self.borders, self.d)
        return core.pack_indices(codes, self.bits, self.d), norms

    def decode(self, data: Any) -> Any:
        """float32[n, d]."""
        packed, norms = data
        codes = core.unpack_indices(packed, self.bits, self.d).long()
        return core.dequantize(codes, norms, self.back, self.levels, self.d)
