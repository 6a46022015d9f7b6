"""icw-kv-quant: int8 with one scale for all tokens of a head, by the functions of its patch."""

from __future__ import annotations

from icw_kv_quant import _dequantize_kv, _quantize_kv


class Int8:
    """K and V together, as its patched attention stores them."""

    package = "icw-kv-quant"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(self) -> None:
        self.encode, self.decode = _quantize_kv, _dequantize_kv
