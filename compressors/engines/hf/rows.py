"""The table's rows for caches of transformers, and what cannot be played here and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..rows import EngineRow

_QUANTIZED = "hf:quantized"
_TURBOKV = "hf:turboquant.cache:TurboQuantCache"
_TINY = "hf:tiny_turboquant.cache:TinyKVCache"
_KAKEYA = "hf:kakeyalattice.hf.cache:KakeyaLatticeCache"
_RANDKV = "hf:randkv.transformers:RandKVCache"
_NEXUS = "hf:nexusquant.integrations.quantized_cache:E8QuantizedCache"


def _quanto(nbits: int, axis: int, shown: bool = True) -> EngineRow:
    return EngineRow(
        _QUANTIZED,
        {"backend": "quanto", "nbits": nbits, "axis": axis},
        "streamed, up to 128 tokens stay at full precision"
        if axis == 0
        else "cannot be streamed: its groups run along the tokens, and the first comes alone",
        "optimum-quanto",
        nbits / 16,
        streams=axis == 0,
        shown=shown,
    )


def _hqq(nbits: int, axis: int = 0, shown: bool = True) -> EngineRow:
    return EngineRow(
        _QUANTIZED,
        {"backend": "hqq", "nbits": nbits, "axis": axis},
        "streamed, up to 128 tokens stay at full precision"
        if axis == 0
        else "cannot be streamed: it packs four groups a byte, and the first token has one",
        "hqq",
        nbits / 16,
        streams=axis == 0,
        shown=shown,
    )


#: heads of 128 and 256 numbers, and what the families have with them
_WIDE = {"d": 128, "keys": "jl"}
_MIXED = {"reduction": "sliding-layers", "d": 256, "layers": 2, "every": 2, "window": 129}


def _dynamic(model: str, note: str, game: Mapping[str, Any], **params: Any) -> EngineRow:
    return EngineRow(
        "hf:dynamic", {"model": model, **params}, note, "transformers", 1.0, reads=False,
        shown=False, game=game,
    )  # fmt: skip


ROWS = (
    EngineRow("hf:dynamic", {}, "the reference", "transformers", 1.0, streams=True),
    _dynamic("qwen3", "4 query heads for each KV head", _WIDE),
    _dynamic("mistral", "4 query heads for each KV head, fp16", _WIDE, dtype="fp16"),
    _dynamic("gemma3", "a layer that slides by 128 tokens, and one that attends to all", _MIXED),
    EngineRow("hf:static", {}, "allocated beforehand", "transformers", 1.0, shown=False),
    EngineRow(
        "hf:sliding",
        {"window": 128},
        "prefilled, its tensors are slices that keep the whole prompt in memory",
        "transformers",
        streams=True,
    ),
    EngineRow(
        "hf:static",
        {"window": 128},
        "allocated beforehand for the window alone",
        "transformers",
        streams=True,
        shown=False,
    ),
    _quanto(2, 0),
    _quanto(4, 0),
    _quanto(2, -1, shown=False),
    _hqq(1),
    _hqq(2),
    _hqq(4),
    _hqq(8, shown=False),
    _hqq(2, axis=1, shown=False),
    EngineRow(
        _QUANTIZED,
        {"backend": "fp8"},
        "one scale a tensor, frozen at the first token when streamed",
        "transformers",
        0.5,
        streams=True,
    ),
    EngineRow(
        _TURBOKV,
        {"nbits": 2, "skip_layers": "set()"},
        "streamed, up to 128 tokens stay at full precision",
        "turbokv",
        1 / 7.1,
        reads=False,
        streams=True,
    ),
    EngineRow(_TURBOKV, {"nbits": 4, "skip_layers": "set()"}, "", "turbokv", 1 / 3.75, reads=False),
    EngineRow(
        _TINY,
        {"compression": "safe"},
        "128 to 255 tokens stay at full precision, as slices that keep the whole prompt in memory",
        "tiny-turboquant",
        1 / 3,
        reads=False,
        streams=True,
    ),
    EngineRow(
        _TINY,
        {"compression": "aggressive", "residual_len": 0},
        "nothing stays at full precision after whole blocks of 128 tokens",
        "tiny-turboquant",
        5 / 32,
        reads=False,
    ),
    EngineRow(
        _KAKEYA,
        {"q_range": 10},
        "rounds to a lattice and keeps the result in 16 bits: nothing is freed",
        "kakeyalattice",
        1 / 3.6,
        reads=False,
    ),
    EngineRow(
        _NEXUS,
        {},
        "rounds the prompt and keeps the result in 16 bits; what is streamed is not rounded",
        "nexusquant-kv",
        5 / 32,
        reads=False,
        streams=True,
    ),
    EngineRow(
        _RANDKV,
        {"feed": "stream", "prompt_length": 1, "budget": 256, "buffer_size": 0},
        "evicts at random; its setting is for this many tokens, and its extra wants "
        "transformers 5.16",
        "randkv",
        0.5,
        keeps=0.5,
        half="budget",
    ),
)

OUT_OF_REACH = {
    "hf:transformers:DynamicCache?offloading=true": "offloading moves layers between a GPU and "
    "the CPU: there is no GPU here",
    "hf:transformers:StaticCache?offloading=true": "offloading moves layers between a GPU and "
    "the CPU: there is no GPU here",
    "hf:transformers:EncoderDecoderCache": "for models with an encoder: it wraps two other caches",
    "turboquant-serve": "its module is called turboquant, as that of turbokv is: one process "
    "cannot have both",
    "fade-kv": "its tiers are assigned by a generation loop of its own; without that it keeps all",
}
