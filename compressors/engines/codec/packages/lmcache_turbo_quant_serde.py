"""lmcache-turbo-quant-serde: TurboQuant on top of ``tqai``, the bytes that LMCache would store."""

from __future__ import annotations

from lmcache_turbo_quant_serde import TurboQuantDeserializer, TurboQuantSerializer


class Serde:
    """``bits`` of 2, 3, 4, 6 or 8; ``use_qjl`` adds a sketch of the residual."""

    package = "lmcache-turbo-quant-serde"
    tensors, layout, dtype = "torch", "bhnd", "bfloat16"

    def __init__(self, bits: int = 4, use_qjl: bool = False) -> None:
        self.encode = TurboQuantSerializer(bits=bits, use_qjl=use_qjl).to_bytes
        self.decode = TurboQuantDeserializer().from_bytes
