"""lmcache: the serdes of its storage that run without a GPU.

They read and write a memory object's ``tensor``, and use nothing else of it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from lmcache.v1.distributed.serde.fp8 import Fp8QuantizationDeserializer, Fp8QuantizationSerializer
from lmcache.v1.kv_codec import AsymK16V8Codec
from lmcache.v1.storage_backend.naive_serde.kivi_serde import KIVIDeserializer, KIVISerializer


class Kivi:
    """``serde_type`` kivi, which is to be written: it returns what it is given."""

    package = "lmcache"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(self) -> None:
        self.encode = KIVISerializer().serialize
        self.decode = KIVIDeserializer().deserialize


class Fp8:
    """A byte a number, e4m3, without a scale."""

    package = "lmcache"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(self, d: int, n: int, heads: int) -> None:
        self.shape = (1, heads, n, d)
        self.writer, self.reader = Fp8QuantizationSerializer(), Fp8QuantizationDeserializer()

    def encode(self, x: Any) -> Any:
        """Its bytes."""
        out = torch.empty(x.numel(), dtype=torch.uint8)
        self.writer.serialize(SimpleNamespace(tensor=x), SimpleNamespace(tensor=out), None)
        return out

    def decode(self, data: Any) -> Any:
        """bf16[1, heads, n, d]."""
        out = torch.empty(self.shape, dtype=torch.bfloat16)
        self.reader.deserialize(SimpleNamespace(tensor=data), SimpleNamespace(tensor=out), None)
        return out


class K16V8:
    """Keys as they are, values in fp8 with one scale."""

    package = "lmcache"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(self, d: int, n: int, heads: int) -> None:
        self.shape, self.codec = (1, heads, n, d), AsymK16V8Codec()

    def encode(self, K: Any, V: Any) -> bytes:
        """Its own bytes."""
        return bytes(self.codec.to_bytes(self.codec.encode(K, V)))

    def decode(self, data: bytes) -> Any:
        """bf16[1, heads, n, d], twice."""
        made = self.codec.from_bytes(data)
        K, V, _ = self.codec.decode(made, out_v_dtype=torch.bfloat16)
        return K.reshape(self.shape), V.reshape(self.shape)
