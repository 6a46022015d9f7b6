"""Where wrong bits lie: the simplest place that beats chance (interface; filled in next)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .reading import Reading

LEVEL = 0.99


@dataclass(frozen=True)
class Places:
    """Some numbers of an axis: ``numbers`` in increasing order, and in ``words``."""

    numbers: tuple[int, ...]
    words: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data: ``ranges`` [[first, last], ...], both ends included, and ``words``."""
        ranges: list[list[int]] = []
        for number in self.numbers:
            if ranges and ranges[-1][1] == number - 1:
                ranges[-1][1] = number
            else:
                ranges.append([number, number])
        return {"ranges": ranges, "words": self.words}


@dataclass(frozen=True)
class Description:
    """Where bits are wrong, and how.

    ``kind``: "none" (no wrong bit), "place" (the places below beat chance), "diffuse" (wrong bits
    that no place explains) or "everywhere" (every place is lost alike). A place that is None is
    the whole axis. ``effect``: what is read there instead, "absent", "stuck at 0", ...
    """

    kind: str
    sentence: str
    messages: int
    wrong: int
    asked: int
    tokens: Places | None = None
    questions: Places | None = None
    sequences: Places | None = None
    layers: Places | None = None
    heads: Places | None = None
    channels: Places | None = None
    effect: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        places = ("tokens", "questions", "sequences", "layers", "heads", "channels")
        return {
            "kind": self.kind, "sentence": self.sentence, "effect": self.effect,
            "messages": self.messages, "wrong_bits": self.wrong, "asked_bits": self.asked,
            **{p: None if getattr(self, p) is None else getattr(self, p).as_dict() for p in places},
        }  # fmt: skip


def localise(
    readings: Sequence[Reading], level: float = LEVEL, parameters: Sequence[int] = ()
) -> Description:
    """The simplest description of where bits are wrong that beats chance, at confidence ``level``.

    ``parameters``: integers of the cache (a block, a window, a group) whose residues are tried too.
    """
    wrong = sum(int(one.wrong.sum()) for one in readings)
    asked = sum(one.secret.size for one in readings)
    kind = "diffuse" if wrong else "none"
    return Description(kind, f"{wrong:,} of {asked:,} bits are wrong.", len(readings), wrong, asked)
