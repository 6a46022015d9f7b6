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

_ADAPTIVE = ("adaptivekv_groups:Groups", "adaptivekv")
_AKV = ("akv_cache:Quantizer", "akv-cache")
_JPEG = ("flashcodec:Jpeg", "flashcodec-kv")
_PNG = ("flashcodec:Png", "flashcodec-kv")
_SPECTRAL = ("spectral_kv:Jarvis", "spectral-kv")
_PLUS = ("kvquant_plus_plus:Mse", "kvquant-plus-plus")
_PLUS_IP = ("kvquant_plus_plus:InnerProduct", "kvquant-plus-plus")
_CPU = ("pyturboquant_cpu:Mse", "pyturboquant-cpu")
_CPU_PROD = ("pyturboquant_cpu:Prod", "pyturboquant-cpu")
_TQ_VECTORS = ("turboquant_vectors:Vectors", "turboquant-vectors")
_LLM = ("turboquant_llm:Batch", "turboquant-llm")
_POLYKV = ("polykv_llm:Mse", "polykv-llm")
_TQKV = ("tqkv:Packed", "tqkv")
_ICW = ("icw_kv_quant:Int8", "icw-kv-quant")
_DC = ("turboquantdc:Residual", "turboquantdc")
_ZERO = ("zerokv_neo:Block", "zerokv-neo")
_AGENTS = ("turboagents:Vectors", "turboagents")
_VALUES = ("turboquantcpu:Values", "turboquantcpu")

_FASTVQ = ("fastvq:KV", "fastvq")
_TQ_KV = ("turboquant_kv:Prod", "turboquant-kv")

_LENS = ("llm_contextlens:KV", "llm-contextlens")
_RAG = ("turborag:Vectors", "turborag")

_KIVI = ("lmcache_serdes:Kivi", "lmcache")
_FP8 = ("lmcache_serdes:Fp8", "lmcache")
_K16V8 = ("lmcache_serdes:K16V8", "lmcache")

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

_EQUAL = "a group that does not reach zero is decoded elsewhere"
_FILLED = "rows of 64 numbers are filled up to its default group of 128"
_SIXTEEN = "its levels are spread over three times the range that its codes reach"
_EDGE = "an angle is decoded to the edge of its sector"
_MATRIX = "every object has its matrix with it"

#: made for KV caches too; where a finding needs more words, docs/analyses has a page
_MORE = (
    _row(*_ADAPTIVE, 4 / 16, _EQUAL, bits=4),
    _row(*_ADAPTIVE, 2 / 16, _EQUAL, shown=False, bits=2),
    _row(*_AKV, 4 / 16, f"its default; {_FILLED}"),
    _row(*_AKV, 4 / 16, streams=True, shown=False, group_size=64),
    _row(*_AKV, 2 / 16, shown=False, bits=2, group_size=64),
    _row(*_AKV, 4 / 16, "the lowest code of a group wraps around to the highest", shown=False,
         symmetric=True, group_size=64),
    _row(*_JPEG, 2 / 8, "its default: two cosines of every eight tokens"),
    _row(*_JPEG, 2 / 16, "two cosines of every eight tokens in int8", shown=False, quant_bits=8),
    _row(*_PNG, None, "loses nothing; its docstring says that differences have 32 bits",
         shown=False),
    _row(*_SPECTRAL, 6 / 16, f"its default, with a sign and four numbers a row; {_SIXTEEN}"),
    _row(*_SPECTRAL, 4 / 16, _SIXTEEN, shown=False, bits=2),
    _row(*_PLUS, 2 / 16, _INT64, num_bits=2),
    _row(*_PLUS_IP, 3 / 16, _INT64, shown=False, num_bits=3),
    _row(*_CPU, 4 / 16, _MATRIX, bits=4),
    _row(*_CPU_PROD, 4 / 16, f"two matrices; {_MATRIX}", shown=False, bits=4),
    _row(*_POLYKV, 3 / 16, f"{_HADAMARD}; a code a byte"),
    _row(*_TQKV, 4 / 16, "a norm of 32 bits a row", streams=True, bits=4),
    _row(*_TQKV, 3 / 16, "a norm of 32 bits a row", shown=False, bits=3),
    _row(*_TQKV, 2 / 16, "a norm of 32 bits a row", shown=False, bits=2),
    _row(*_ICW, 8 / 16, "one scale for all tokens of a head"),
    _row(*_DC, 3 / 16, f"{_INT64}, each sign in 4", bits=3),
    _row(*_ZERO, None, "its default: a tenth of the channels in 16 bits"),
    _row(*_LENS, 3 / 16, "a key becomes one of four directions; four bytes a code"),
    _row(*_FASTVQ, 3 / 16, f"its default: a radius in 32 bits for every two numbers; {_EDGE}"),
    _row(*_FASTVQ, 4 / 16, f"no sketch, all bits are the angle's; {_EDGE}", shown=False,
         bit_width=4, use_qjl=False),
    _row(*_TQ_KV, 3 / 16, f"its default; {_INT64}, each sign in 4"),
    _row(*_TQ_KV, 4 / 16, f"{_INT64}, each sign in 4", shown=False, bits=4),
    _row(*_KIVI, None, "its serde_type kivi is to be written: it returns what it is given",
         shown=False),
    _row(*_FP8, 8 / 16, "its serde fp8: e4m3 without a scale"),
    _row(*_K16V8, 12 / 16, "its codec asym_k16_v8: keys as they are, values in fp8", shown=False),
    _row(*_AGENTS, 3.5 / 16, "its default; a header and the norms of groups with every row"),
    _row(*_VALUES, 8 / 16, "its values' quantiser", mode="int8"),
    _row(*_VALUES, 4 / 16, "its values' quantiser, for keys as well: a group of equal "
         "numbers becomes NaN", shown=False, mode="int4"),
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
    _row(*_TQ_VECTORS, 4 / 16, f"a code a byte; {_MATRIX}", bits=4),
    _row(*_TQ_VECTORS, 3 / 16, "its levels for 3 bits are the inner half of those for 4",
         shown=False, bits=3),
    _row(*_TQ_VECTORS, 2 / 16, f"a code a byte; {_MATRIX}", shown=False, bits=2),
    _row(*_LLM, 4 / 16, f"{_INT64}; {_MATRIX}, as a real system would not, it says", bits=4),
    _row(*_RAG, 3 / 16, "its index keeps no norms: made for rows of norm 1", bits=3),
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

ROWS = (*_CACHES, *_MORE, *_VECTORS, *_ARRAYS)

#: packages with codecs that are not played, and why
OUT_OF_REACH = {
    "fused-turboquant": "its kernels are triton's, which need a CUDA GPU",
    "kakeyalattice": "it has no encoder: its codecs only return what decoding would give",
    "pyturboquant-gpu": "it needs a CUDA GPU",
    "turboquant-gpu": "its kernels are for a CUDA GPU",
    "turboquant-vllm": "it runs inside vLLM, on a CUDA GPU",
    "lmcache's cachegen": "its coder is a CUDA kernel, as its source says; it was not run",
    "lmcache's turboquant": "its kernels are triton's, which need a CUDA GPU",
    "pyturboquant": "its newest wheel for this Python has one empty module",
    "kvquant": "its wheel has one empty module",
    "kvq": "it fills key_cache and value_cache of DynamicCache, which transformers 5 does not have",
    "spectralquant": "it is calibrated on a model's cache first, and stores decoded numbers",
    "turboquant-explained": "it writes its matrices to a file, and players may not; it keeps no "
    "norms, so rows of norm 8 lose .57 of their variance at 4 bits, in 5.0 times 16 bits (0.1.1)",
    "adaptq": "its wheel of 0.2.3 that pip builds here cannot be imported, for want of a symbol",
    "ginkgoq-turboquant": "it writes its codebooks to a file, and players may not",
    "turboquant-tools": "it needs turboquant-quantized, which is not on PyPI",
    "cacheshrink": "it replaces the projections of a whole model",
    "aither-kvcache": "it installs a module turboquant over that of turboquant-torch",
    "prismkv": "it needs Python 3.12",
    "turboqvec": "it has no wheel, and its build fails here",
    "argus-cache": "it has no wheel, and its build fails here",
    "kvcodec's predictor": "it has to be trained on a model's cache first",
}
