"""The caches of MLX in the table, and what cannot be played here.

``declared`` is what a setting promises of 16-bit numbers: bits over 16, tokens kept over tokens.
VeloxQuant-MLX's methods promise what their own accounting says, which the table has as *claimed*.
"""

from __future__ import annotations

from typing import Any

from ..rows import EngineRow

_LM, _VLM, _VELOX = "mlx-lm", "mlx-vlm", "veloxquant-mlx"


def _row(
    what: str, distribution: str, declared: float | None, note: str = "", *,
    reads: bool = True, streams: bool = False, shown: bool = True, half: str = "", **params: Any,
) -> EngineRow:  # fmt: skip
    return EngineRow(
        f"mlx:{what}", params, note, distribution, declared,
        reads=reads, streams=streams, shown=shown, half=half,
    )  # fmt: skip


def _velox(
    method: str, note: str = "", declared: float | None = None, *, shown: bool = False,
    streams: bool = False, **params: Any,
) -> EngineRow:  # fmt: skip
    return _row(f"veloxquant:{method}", _VELOX, declared, note, reads=False, shown=shown,
                streams=streams, **params)  # fmt: skip


_WHOLE = "its docstring says so: numbers stay in 16 bits, and the ratio is an estimate"
_UNTRAINED = "without a trained codebook it draws one at random"
_LAST = "holds what it last handed to attention as well"
_HALF = "keeps half of the tokens"

ROWS = (
    _row("KVCache", _LM, 1.0, "the reference", streams=True),
    _row("RotatingKVCache", _LM, None, "prefilled, the prompt stays until the next token comes",
         streams=True, max_size=128),
    _row("RotatingKVCache", _LM, None, "four sinks; the prompt stays until the next token comes",
         shown=False, max_size=128, keep=4),
    _row("QuantizedKVCache", _LM, 8 / 16, "a scale and a bias for every 64 numbers", bits=8),
    _row("QuantizedKVCache", _LM, 4 / 16, "a scale and a bias for every 64 numbers",
         streams=True, bits=4),
    _row("QuantizedKVCache", _LM, 4 / 16, "a scale and a bias for every 32 numbers", shown=False,
         bits=4, group_size=32),
    # The Bob who reads answers in full precision, and here his own token would be quantised too.
    _row("QuantizedKVCache", _LM, 2 / 16, "one of four levels is zero; a question's own token is "
         "quantised as well", reads=False, bits=2),
    _row("TurboQuantKVCache", _VLM, 2 / 16, reads=False, bits=2),
    _row("TurboQuantKVCache", _VLM, 3 / 16, bits=3),
    _row("TurboQuantKVCache", _VLM, 3.5 / 16, "three bits for half of the channels, four for half",
         reads=False, shown=False, bits=3.5),
    _row("TurboQuantKVCache", _VLM, 4 / 16, reads=False, bits=4),
    _row("RotatedKVCache", "mlx-turboquant", 4 / 16, "keys rotated, values not", reads=False,
         bits=4),
    _row("RotatedKVCache", "mlx-turboquant", 2 / 16, "keys rotated, values not", reads=False,
         shown=False, bits=2),
    _velox("turboquant_rvq", "its default: keys in codes, values as they are; allocates 256 rows "
           "more"),
    _velox("kivi", _WHOLE, shown=True, streams=True),
    _velox("vecinfer", f"{_UNTRAINED}, as it warns; {_WHOLE}"),
    _velox("xquant", _WHOLE),
    _velox("kvquant", _WHOLE),
    _velox("palu", f"{_WHOLE}; {_LAST}"),
    _velox("cachegen", _WHOLE),
    _velox("gear", _WHOLE),
    _velox("zipcache", _WHOLE),
    _velox("skvq", _WHOLE),
    _velox("amc", _WHOLE),
    _velox("a2ats", f"{_UNTRAINED}, and it turns back a rotary embedding that these keys do not "
           f"have; {_WHOLE}"),
    _velox("anchorkv", _WHOLE),
    _velox("kvtc", f"keeps the prompt in 32 bits; {_LAST}"),
    _velox("age_tiered", _WHOLE),
    _velox("rocketkv", "pages of 16 tokens, a minimum and a maximum each"),
    _velox("h2o", _HALF, 0.5, shown=True, h2o_budget=256, half="h2o_budget"),
    _velox("snapkv", _HALF, 0.5, snap_budget=256, half="snap_budget"),
    _velox("knorm", _HALF, 0.5, knorm_budget=256, half="knorm_budget"),
    _velox("tova", f"{_HALF}; prefilled, {_LAST}", 0.5, streams=True, tova_budget=256,
           half="tova_budget"),
    _velox("streaming_llm", f"{_HALF}; prefilled, {_LAST}", 0.5, stream_window_size=252,
           half="stream_window_size"),
)  # fmt: skip

#: caches of MLX that are not in the table, and why
OUT_OF_REACH = {
    "mlx:veloxquant:nsnquant": "every process computes its codebook first, 15 to 40 seconds: "
    "attack it by itself",
    "mlx:veloxquant:curdkv": "it takes a minute for 512 tokens: attack it by itself",
    "VeloxQuant-MLX's turboquant_prod, turboquant_mse, polar, qjl, spectral": "they have an "
    "interface of their own, which no model of mlx-lm calls",
    "VeloxQuant-MLX's sharing between layers": "its coordinators are built for a model's layers",
    "MLX on a Mac's GPU": "the wheels for Linux run MLX on the CPU, without its Metal kernels",
    "mlx:RotatedKVCache?qjl=True": "its sketch is read by a kernel of Metal's",
}
