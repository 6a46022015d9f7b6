"""What a message is made of: the bytes of each attribute, and what they would cost packed tightly.

An attribute whose numbers take K different values needs ceil(log2 K) bits for each, beside a table
of the values that both sides could agree on. That is no bound (an entropy code may need less), and
no advice where K is as large as the numbers are many; it shows codes that are sent as whole bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compressors.plugin.contract import Compressor, Shape
from ...compressors.plugin.packing import payload_bytes, sent_attributes
from ...compressors.plugin.plain import pack_plain
from .subject import Subject

TOKENS, D = 128, 64
WORTH = 0.75
"""A part is said to have a tighter form if that takes at most this share of its bytes, and if it
has at most a quarter as many values as numbers: else there is nothing to agree on."""


@dataclass(frozen=True)
class Part:
    """One attribute of a message: what it is, its bytes, and its bytes packed tightly, or None."""

    name: str
    kind: str
    length: int
    packed: int | None


@dataclass(frozen=True)
class Explained:
    """A message of ``TOKENS`` tokens of dimension ``D``, in bytes: whole, its data, its parts."""

    length: int
    payload: int
    own_save: bool
    parts: tuple[Part, ...]

    def rows(self) -> list[list[str]]:
        """The table: part, what it is, bytes, share of the message, bytes packed tightly."""
        rows = [
            [
                part.name,
                part.kind,
                str(part.length),
                f"{part.length / max(1, self.length):.1%}",
                "-" if part.packed is None else str(part.packed),
            ]
            for part in self.parts
        ]
        framing = self.length - self.payload
        return [*rows, ["(framing)", "", str(framing), f"{framing / max(1, self.length):.1%}", "-"]]


def explain(subject: Subject) -> Explained:
    """Play one stream and take its message apart."""
    played = subject.played(1, Shape(tokens=TOKENS, d_k=D, d_v=D))
    message = bytes(played.save())
    inner = played._stateful()
    own = type(inner).__dict__.get("save") is not None and not _default(played)
    sent = {} if own else sent_attributes(inner, played.fresh()._stateful())
    parts = [_part(name, value) for name, value in sent.items()]
    parts.sort(key=lambda part: -part.length)
    return Explained(len(message), payload_bytes(message), own, tuple(parts))


def _default(played: Compressor) -> bool:
    return getattr(played.save, "__func__", None) is Compressor.save


def _part(name: str, value: Any) -> Part:
    arrays = _arrays(value)
    length = payload_bytes(pack_plain([0, value]))
    if not arrays:
        return Part(name, type(value).__name__, length, None)
    kinds = ", ".join(dict.fromkeys(f"{array.dtype}" for array in arrays))
    count = sum(array.size for array in arrays)
    numbers = np.concatenate([np.ascontiguousarray(a).reshape(-1).view(np.uint8).reshape(
        a.size, a.dtype.itemsize) for a in arrays if a.dtype == arrays[0].dtype])  # fmt: skip
    levels = len(np.unique(numbers, axis=0))
    bits = max(1, int(levels - 1).bit_length())
    packed = (count * bits + 7) // 8
    one = len({array.dtype for array in arrays}) == 1 and 4 * levels <= count
    tighter = packed if one and packed <= WORTH * length else None
    return Part(name, f"{count} x {kinds}, {levels} values", length, tighter)


def _arrays(value: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(value, np.ndarray):
        return [value] if value.size and not value.dtype.hasobject else []
    if isinstance(value, dict):
        return [array for one in value.values() for array in _arrays(one)]
    if isinstance(value, list | tuple) or type(value).__name__ == "deque":
        return [array for one in value for array in _arrays(one)]
    return []
