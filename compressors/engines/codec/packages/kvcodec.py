"""kvcodec: an anchor token in fp16 every ``anchor_stride``, int8 differences from it between."""

from __future__ import annotations

from typing import Any

from kvcodec.codec_seq import CompressedSeqLayer, SeqCodec
from kvcodec.config import SeqCodecConfig


class Seq:
    """The codec along the tokens, without its predictor, which has to be trained."""

    package = "kvcodec"
    tensors, layout = "torch", "hnd"
    objects = (CompressedSeqLayer,)

    def __init__(self, anchor_stride: int = 16, normalize_residuals: bool = True) -> None:
        config = SeqCodecConfig(
            anchor_stride=anchor_stride, normalize_residuals=normalize_residuals
        )
        self.codec = SeqCodec(config)

    def encode(self, K: Any, V: Any) -> Any:
        """One object for both."""
        return self.codec.compress(K, V)

    def decode(self, data: Any) -> Any:
        """float32[heads, n, d], twice."""
        return self.codec.decompress(data)

    def ratio(self, data: Any) -> float:
        """Its own word, which leaves the norms out."""
        return float(data.compression_ratio())
