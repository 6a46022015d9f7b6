"""The caches of ONNX Runtime in the table, and those that cannot be played here."""

from __future__ import annotations

from typing import Any

from ..rows import EngineRow

_PUBLIC = "static scales, calibrated on a public stream"
_KNOWN = "static scales that fit the literal stream exactly"


def _row(
    kind: str, declared: float, note: str, streams: bool = False, shown: bool = True, **params: Any
) -> EngineRow:
    target = f"onnxruntime:{kind}"
    return EngineRow(target, params, note, "onnxruntime", declared, streams=streams, shown=shown)


ROWS = (
    _row("fp16", 1.0, "the reference", streams=True),
    _row("fp32", 2.0, "twice the 16-bit cache", shown=False),
    _row("int8", 8 / 16, _PUBLIC, streams=True),
    _row("int8", 8 / 16, f"{_PUBLIC}, one a channel", shown=False, per="channel"),
    _row("int4", 4 / 16, _PUBLIC, streams=True),
    _row("int4", 4 / 16, f"{_PUBLIC}, one a channel", per="channel"),
    _row("int4", 4 / 16, _KNOWN, shown=False, key_range=0.125, value_range=1.0),
)

#: what the runtime has and the CPU does not
OUT_OF_REACH = {
    "onnxruntime:fp8": "its CPU kernels have no fp8 cache: 'Could not find an implementation for "
    "GroupQueryAttention(1)' (1.32.0)",
    "onnxruntime:bf16": "its CPU kernels have no bf16 cache either, by the same sentence",
}
