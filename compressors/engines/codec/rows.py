"""The published codecs in the table, and those that cannot be played here.

``declared`` is the share of 16-bit numbers that the name of a setting promises, its bits over 16.
"""

from __future__ import annotations

from typing import Any

from ..rows import EngineRow


def _row(
    described: str, distribution: str, declared: float | None, note: str = "",
    streams: bool = False, shown: bool = True, **params: Any,
) -> EngineRow:  # fmt: skip
    target = f"codec:{__package__}.packages.{described}"
    return EngineRow(
        target, params, note, distribution, declared, reads=False, streams=streams, shown=shown
    )


_LMCACHE = ("lmcache_turbo_quant_serde:Serde", "lmcache-turbo-quant-serde")
_POLAR = ("polarquant:KV", "polarquant")
_CRUSH = ("kvcrush:TurboQuant", "kvcrush")
_SEQ = ("kvcodec:Seq", "kvcodec")
_TORCH = ("turboquant_torch:KVCache", "turboquant-torch")
_PRO = ("turboquant_pro:TurboKV", "turboquant-pro")
_CHANNEL = ("turboquant_pro:PerChannel", "turboquant-pro")
_LITE = ("turbo_quant_lite:Vectors", "turbo-quant-lite")
_REMEX = ("remex:Vectors", "remex")
_BITPOLAR = ("bitpolar:Vectors", "bitpolar")
_GGUF = ("gguf_blocks:Blocks", "gguf")
_ZFP = ("zfp:Rate", "zfpy")
_BLOSC = ("blosc2_arrays:Lossless", "blosc2")
_FAISS = ("faiss_quantizers:Codec", "faiss-cpu")

_HADAMARD = "a fixed Hadamard matrix, which some keys are rows of"
_INT64 = "holds each code in 8 bytes"
_DELTA = "its default: differences of neighbouring numbers, whose errors add up"
_512 = "its levels are those of d = 512, whatever d is"
_TRAINED = "trained on what it encodes; the codebook is part of the message"

#: made for KV caches
_CACHES = (
    _row(*_LMCACHE, 2 / 16, streams=True, bits=2),
    _row(*_LMCACHE, 3 / 16, shown=False, bits=3),
    _row(*_LMCACHE, 4 / 16, bits=4),
    _row(*_LMCACHE, 2 / 16, "a byte for each sign of its sketch", shown=False, bits=2,
         use_qjl=True),
    _row(*_POLAR, 2 / 16, _HADAMARD, shown=False, nbits=2),
    _row(*_POLAR, 3 / 16, _HADAMARD, streams=True, nbits=3),
    _row(*_POLAR, 4 / 16, _HADAMARD, nbits=4),
    _row(*_CRUSH, 2 / 16, _DELTA, bits=2),
    _row(*_CRUSH, 2 / 16, "minimum and maximum of every 32 numbers in 8 bytes", bits=2,
         use_delta=False),
    _row(*_CRUSH, 4 / 16, "minimum and maximum of every 32 numbers in 8 bytes", shown=False,
         bits=4, use_delta=False),
    _row(*_SEQ, 8 / 16, "its own ratio leaves the norms out", streams=True),
    _row(*_TORCH, 2 / 16, _INT64, shown=False, bit_width=2, residual_length=0),
    _row(*_TORCH, 3 / 16, _INT64, bit_width=3, residual_length=0),
    _row(*_TORCH, 3 / 16, f"its default: 128 tokens stay in 16 bits; {_INT64}", shown=False),
    _row(*_TORCH, 4 / 16, _INT64, shown=False, bit_width=4, residual_length=0),
    _row(*_PRO, 2 / 16, streams=True, bits=2),
    _row(*_PRO, 3 / 16, shown=False, bits=3),
    _row(*_PRO, 3 / 16, "its default: a code a byte", shown=False, bits=3, packed=False),
    _row(*_PRO, 4 / 16, bits=4),
    _row(*_CHANNEL, 2 / 16, "levels of every channel over all tokens", bits=2),
    _row(*_CHANNEL, 2 / 16, "quantiles of every channel as its levels", shown=False, bits=2,
         nuq=True),
    _row(*_CHANNEL, 4 / 16, "what it recommends for keys", shown=False, bits=4, nf4_asym=True),
)  # fmt: skip

#: made for embeddings
_VECTORS = (
    _row(*_LITE, 2 / 16, _512, shown=False, bits=2),
    _row(*_LITE, 3 / 16, f"{_512}; a code a byte", bits=3),
    _row(*_LITE, 4 / 16, _512, bits=4),
    _row(*_REMEX, 1 / 16, shown=False, bits=1),
    _row(*_REMEX, 2 / 16, bits=2),
    _row(*_REMEX, 4 / 16, bits=4),
    _row(*_BITPOLAR, 3 / 16, "a radius in full precision for every two numbers", bits=3),
    _row(*_BITPOLAR, 4 / 16, "a radius in full precision for every two numbers", shown=False,
         bits=4),
    _row(*_FAISS, 4 / 16, _TRAINED, factory="SQ4"),
    _row(*_FAISS, 2 / 16, _TRAINED, shown=False, factory="PQ32x4"),
    _row(*_FAISS, 1 / 16, _TRAINED, shown=False, factory="PQ16x4"),
)  # fmt: skip

#: number formats and array compressors
_ARRAYS = (
    _row(*_GGUF, 8.5 / 16, shown=False, kind="Q8_0"),
    _row(*_GGUF, 4.5 / 16, streams=True, kind="Q4_0"),
    _row(*_GGUF, 4.25 / 16, shown=False, kind="MXFP4"),
    _row(*_GGUF, 2.0625 / 16, "blocks of 256 numbers, 4 tokens here", shown=False, kind="TQ2_0"),
    _row(*_GGUF, 1.6875 / 16, "blocks of 256 numbers, 4 tokens here", kind="TQ1_0"),
    _row(*_ZFP, 4 / 16, rate=4),
    _row(*_ZFP, 2 / 16, shown=False, rate=2),
    _row(*_BLOSC, None, "loses nothing of 16-bit floats: what is left is what it cannot find"),
)

ROWS = (*_CACHES, *_VECTORS, *_ARRAYS)

#: packages with codecs that are not played, and why
OUT_OF_REACH = {
    "fused-turboquant": "its kernels are triton's, which need a CUDA GPU",
    "kakeyalattice": "it has no encoder: its codecs only return what decoding would give",
    "pyturboquant-gpu": "it needs a CUDA GPU",
    "turboquant-gpu": "its kernels are for a CUDA GPU",
    "turboquant-vllm": "it runs inside vLLM, on a CUDA GPU",
    "kvcodec's predictor": "it has to be trained on a model's cache first",
}
