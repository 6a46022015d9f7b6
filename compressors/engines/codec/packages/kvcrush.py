"""kvcrush: blocks of 32 numbers, three rounds of signs and Hadamard, min-max levels, pure Python.

Its module is called turboquant, as another package's is: it is loaded from its own distribution.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import distribution
from typing import Any

_SPEC = importlib.util.spec_from_file_location(
    "kvcrush_turboquant", str(distribution("kvcrush").locate_file("turboquant.py"))
)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)


class TurboQuant:
    """``bits`` of 1 to 4; ``use_delta`` (its default) codes differences of neighbouring numbers."""

    package = "kvcrush"

    def __init__(self, bits: int = 4, use_delta: bool = True) -> None:
        self.quantizer = _MODULE.TurboQuant(bits=bits)
        self.use_delta = use_delta

    def encode(self, x: Any) -> bytes:
        """Its own bytes."""
        data: bytes = self.quantizer.compress(x, use_delta=self.use_delta)
        return data

    def decode(self, data: bytes) -> Any:
        """float64[n, d]."""
        return self.quantizer.decompress(data)
