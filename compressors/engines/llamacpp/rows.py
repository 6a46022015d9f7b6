"""The caches of llama.cpp in the table, and those that cannot be played here.

``declared`` is what the block of a type takes over 16-bit numbers: q8_0 packs 32 numbers in 34
bytes. The message adds 12 bytes a cell.
"""

from __future__ import annotations

from typing import Any

from ..rows import EngineRow
from .state import TYPES


def _share(name: str) -> float:
    kind = TYPES[name]
    return kind.size / kind.block / 2


def _row(
    keys: str, note: str = "", *, keeps: float | None = None, streams: bool = False,
    shown: bool = True, **params: Any,
) -> EngineRow:  # fmt: skip
    declared = (_share(keys) + _share(params.get("v", keys))) / 2 * (keeps or 1)
    return EngineRow(
        f"llamacpp:{keys}", params, note, "llama-cpp-python", declared,
        keeps=keeps, streams=streams, shown=shown, half="window" if "window" in params else "",
    )  # fmt: skip


_TURNED = "turned by a Hadamard matrix, so the mean of 0 and 1 is one large number"
_LIBRARY = "the library takes it, the command line of llama.cpp does not"
_HALF = "keeps half of the tokens"

#: every type that the command line of llama.cpp takes
_TYPES = (
    _row("f16", "its default", streams=True),
    _row("q8_0", streams=True),
    _row("q5_1", shown=False),
    _row("q5_0"),
    _row("q4_1", _TURNED, shown=False),
    _row("q4_0", _TURNED, streams=True),
    _row("iq4_nl", _TURNED),
    _row("bf16", shown=False),
    _row("f32", "flash attention reads it in float16", shown=False),
    _row("q8_0", _TURNED, v="q4_0"),
)

_OTHERS = (
    _row("mxfp4", f"{_TURNED}; {_LIBRARY}", shown=False),
    _row("nvfp4", _LIBRARY, shown=False),
)

#: evicted by llama_memory_seq_rm and llama_memory_seq_add, as in a context shift
_EVICTIONS = (
    _row("f16", f"the newest; {_HALF}", keeps=0.5, streams=True, window=256),
    _row("f16", f"StreamingLLM's; {_HALF}", keeps=0.5, streams=True, window=252, sinks=4),
    _row("q8_0", f"StreamingLLM's; {_HALF}", keeps=0.5, shown=False, window=252, sinks=4),
    _row("q4_0", f"StreamingLLM's; {_HALF}", keeps=0.5, shown=False, window=252, sinks=4),
)

ROWS = (*_TYPES, *_OTHERS, *_EVICTIONS)


def _wide(name: str) -> str:
    block = TYPES[name].block
    return f"it packs {block} numbers, and heads of the table have 64: attack it with --d 256"


#: caches of llama.cpp that are not in the table, and why
OUT_OF_REACH = {
    **{
        f"llamacpp:{name}": _wide(name) for name in ("q6_K", "q5_K", "q4_K", "q3_K", "q2_K", "q1_0")
    },
    "llamacpp: sliding-window caches": "they belong to architectures with rotary embeddings, and "
    "the model that carries the stream has none",
    "llamacpp: recurrent and hybrid memories": "their state is no cache of keys and values",
    "llamacpp: caches on a GPU": "the bindings are built for the CPU; the types are the same",
}
