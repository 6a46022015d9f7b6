"""kvbarrier: the executable form of *Compression Barriers for Autoregressive Transformers*
(Haris & Onak, arXiv 2502.15955).

The public names load lazily (PEP 562), so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import AttackReport, attack, check, load
    from .compressors.plugin.bit_packing import pack_bits, unpack_bits
    from .compressors.plugin.contract import Compressor, Shape, tokens_within
    from .errors import BadInput, BudgetTooSmall, KVBarrierError, PluginFailure
    from .reductions.limit import index_limit

__version__ = "0.7.1"

_HOMES = {
    "AttackReport": "api",
    "BadInput": "errors",
    "BudgetTooSmall": "errors",
    "Compressor": "compressors.plugin.contract",
    "KVBarrierError": "errors",
    "NonAdaptive": "compressors.readers.contract",
    "PluginFailure": "errors",
    "Shape": "compressors.plugin.contract",
    "attack": "api",
    "check": "api",
    "index_limit": "reductions.limit",
    "load": "api",
    "pack_bits": "compressors.plugin.bit_packing",
    "tokens_within": "compressors.plugin.contract",
    "unpack_bits": "compressors.plugin.bit_packing",
}

__all__ = [
    "AttackReport",
    "BadInput",
    "BudgetTooSmall",
    "Compressor",
    "KVBarrierError",
    "NonAdaptive",
    "PluginFailure",
    "Shape",
    "attack",
    "check",
    "index_limit",
    "load",
    "pack_bits",
    "tokens_within",
    "unpack_bits",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"kvbarrier has no public name {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
