"""The engines, the targets ``scheme:thing?parameters`` that name them, and who plays a target."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import BadInput

if TYPE_CHECKING:
    from .scheme import Scheme

#: every engine, a folder each, in the order of the table
NAMES = ("hf", "kvpress", "llamacpp", "codec", "mlx", "onnxruntime", "openvino", "vllm")


class _Schemes(Mapping[str, "Scheme"]):
    """name -> scheme, in that order; an engine's folder is imported when it is asked for."""

    def __getitem__(self, name: str) -> Scheme:
        if name not in NAMES:
            raise KeyError(name)
        found: Scheme = importlib.import_module(f".{name}", __package__).SCHEME
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


SCHEMES: Mapping[str, Scheme] = _Schemes()

REGISTERED = "engine:"
"""Before the name of an engine that somebody's package registers: played as a plug-in is."""

_OUR_CODECS = f"codec:{__package__}.codec.packages."


def scheme_of(target: str) -> Scheme | None:
    """Return the scheme of a target, or None if it is not an engine's.

    >>> scheme_of("hf:dynamic?dtype=fp32").title, scheme_of("exact"), scheme_of("a.b:C")
    ('transformers', None, None)
    """
    name, colon, _ = target.partition("?")[0].partition(":")
    return SCHEMES.get(name) if colon else None


def is_engine(target: str) -> bool:
    """Whether a target is one of these engines'; nothing is imported to find out.

    >>> is_engine("hf:dynamic?dtype=fp32"), is_engine("exact"), is_engine("a.b:C")
    (True, False, False)
    """
    return scheme_of(target) is not None


def interpreter_of(target: str) -> str | None:
    """Return the Python that plays a target; None is the one that runs.

    An author's own codec is played where kvbarrier is installed beside it. Raises BadInput where
    an engine is not installed.
    """
    scheme = scheme_of(target)
    if scheme is None or (scheme.name == "codec" and not target.startswith(_OUR_CODECS)):
        return None
    from .environments import interpreter

    return interpreter(scheme)


def describe() -> list[dict[str, Any]]:
    """All declared settings and all that cannot be played, as plain data for ``list engines``."""
    from .environments import interpreter

    found = []
    for scheme in SCHEMES.values():
        try:
            interpreter(scheme)
            there = "installed"
        except BadInput:
            there = f"make engines, or pip install 'kvbarrier[{scheme.name}]'"
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
