"""The ladder of laws, from cheap to dear, in the process of the subject."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .bench import Bench
from .fault import Fault
from .laws import growth, heads, held, inputs, mass, memory, mixed, returns, same, scores, structure

Law = Callable[[Bench], Iterator[Fault]]


@dataclass(frozen=True)
class Rung:
    """A law with its name and what is tried, for the last table."""

    name: str
    title: str
    law: Law


LADDER: tuple[Rung, ...] = (
    Rung("heads", heads.TITLE, heads.law),
    Rung("mixed", mixed.TITLE, mixed.law),
    Rung("structure", structure.TITLE, structure.law),
    Rung("returns", returns.TITLE, returns.law),
    Rung("mass", mass.TITLE, mass.law),
    Rung("same", same.TITLE, same.law),
    Rung("held", held.TITLE, held.law),
    Rung("scores", scores.TITLE, scores.law),
    Rung("inputs", inputs.TITLE, inputs.law),
    Rung("memory", memory.TITLE, memory.law),
)
