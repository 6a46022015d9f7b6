"""The schemes of engine targets, ``scheme:thing?parameters``, and where each one is played."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from ...errors import BadInput
from .environments import interpreter


@dataclass(frozen=True)
class Scheme:
    """One engine.

    Attributes:
        name: before the colon.
        environment: where it is played.
        module, cls: the class, in this package.
        rows: the module with ``ROWS`` and ``OUT_OF_REACH``.
        example: a target, for sentences.
    """

    name: str
    environment: str
    module: str
    cls: str
    rows: str
    example: str

    def load(self) -> Any:
        """Import the class; only the engine's own interpreter can."""
        return getattr(importlib.import_module(f".{self.module}", __package__), self.cls)

    def table(self) -> Any:
        """Import the module of declared rows, which any interpreter can."""
        return importlib.import_module(f".{self.rows}", __package__)


SCHEMES = {
    one.name: one
    for one in (
        Scheme("hf", "hf", "hf.cache", "TransformersCache", "hf.rows", "hf:dynamic"),
        Scheme("kvpress", "kvpress", "kvpress.press", "KVPress", "kvpress.rows",
               "kvpress:KnormPress?compression_ratio=0.5"),
        Scheme("llamacpp", "llamacpp", "llamacpp.cache", "LlamaCpp", "llamacpp.rows",
               "llamacpp:q8_0"),
        Scheme("codec", "codec", "codec.cache", "CodecCache", "codec.rows",
               "codec:module:Class?bits=4"),
    )
}  # fmt: skip


_OUR_CODECS = f"codec:{__package__}.codec.packages."


def scheme_of(target: str) -> Scheme | None:
    """Return the scheme of a target, or None for what is no engine's.

    >>> scheme_of("hf:dynamic?dtype=fp32").environment, scheme_of("exact"), scheme_of("a.b:C")
    ('hf', None, None)
    """
    name, colon, _ = target.partition("?")[0].partition(":")
    return SCHEMES.get(name) if colon else None


def interpreter_of(target: str) -> str | None:
    """Return the Python that plays a target; None is the one that runs.

    An author's own codec is played where kvbarrier is installed beside it. Raises BadInput where
    an engine is not installed.
    """
    scheme = scheme_of(target)
    if scheme is None or (scheme.name == "codec" and not target.startswith(_OUR_CODECS)):
        return None
    return interpreter(scheme.environment)


def describe() -> list[dict[str, Any]]:
    """Every declared setting and everything out of reach, as plain data for ``list engines``."""
    found = []
    for scheme in SCHEMES.values():
        try:
            interpreter(scheme.environment)
            there = "installed"
        except BadInput:
            there = f"make engines, or pip install 'kvbarrier[{scheme.environment}]'"
        table = scheme.table()
        for row in table.ROWS:
            params = "&".join(f"{name}={value}" for name, value in row.params.items())
            found.append({
                "target": row.target + (f"?{params}" if params else ""),
                "package": row.distribution,
                "state": there,
                "note": row.note,
            })  # fmt: skip
        found += [
            {"target": target, "package": "", "state": "out of reach", "note": reason}
            for target, reason in table.OUT_OF_REACH.items()
        ]
    return found
