"""flashcodec-kv: runs of tokens as blocks of a picture, by their low frequencies or differences."""

from __future__ import annotations

from typing import Any

from flashcodec.codecs.jpeg import JPEGCodec
from flashcodec.codecs.png import PNGCodec


class Jpeg:
    """The first ``keep_freqs`` cosines of ``block_size`` tokens; ``quant_bits=8`` is int8."""

    package = "flashcodec-kv"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(
        self, n: int, block_size: int = 8, keep_freqs: int = 2, quant_bits: int = 0
    ) -> None:
        self.n, self.codec = n, JPEGCodec(block_size, keep_freqs, quant_bits)
        # It counts from 32 bits where it quantises.
        said = self.codec.storage_ratio() * (2 if quant_bits else 1)
        self.ratio = 1 / said

    def encode(self, x: Any) -> Any:
        """Coefficients, or their codes and scales."""
        coefficients = self.codec.compress(x)
        return list(self.codec.quantize(coefficients)) if self.codec.quantized else coefficients

    def decode(self, data: Any) -> Any:
        """float32[1, heads, n, d]."""
        codes, scales = data if isinstance(data, list) else (data, None)
        return self.codec.decompress(codes, self.n, scales)


class Png:
    """An anchor in 16 bits and differences in 32 bits for every ``block_size`` tokens."""

    package = "flashcodec-kv"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(self, n: int, block_size: int = 8, keep_ratio: float = 1.0) -> None:
        self.n, self.codec = n, PNGCodec(block_size, keep_ratio)
        self.ratio = 1 / self.codec.storage_ratio()

    def encode(self, x: Any) -> Any:
        """Differences and anchors."""
        return list(self.codec.filter(x))

    def decode(self, data: Any) -> Any:
        """bf16[1, heads, n, d]."""
        return self.codec.reconstruct(*data)[..., : self.n, :]
