"""The readers that ship with kvbarrier: sparse patterns, adaptive ones, and controls."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from . import adaptive, controls, patterns
from .entry import ReaderEntry

#: name -> entry, in the order of the catalog
READERS: Mapping[str, ReaderEntry] = {
    one.name: one
    for one in (
        patterns.SAMPLING,
        patterns.WINDOW,
        patterns.SINKS,
        patterns.STRIDED,
        patterns.FIXED,
        patterns.RANDOM_BLOCKS,
        patterns.BIG_BIRD,
        adaptive.GREEDY,
        adaptive.BISECTION,
        adaptive.BANDIT,
        adaptive.LEARNED_ORDER,
        adaptive.EARLY_STOPPING,
        controls.MINIMAX,
        controls.ONE_COORDINATE,
        controls.KEY_CELLS,
    )
}


def is_reader(thing: Any) -> bool:
    """Whether something is a class with ``answer``, and neither ``append`` nor ``attend``."""
    has = inspect.isclass(thing) and callable(getattr(thing, "answer", None))
    return has and not (hasattr(thing, "append") or hasattr(thing, "attend"))


def describe() -> list[dict[str, object]]:
    """The table for ``kvbarrier list``: plain data, one row an algorithm."""
    return [
        {
            "name": one.name,
            "reads": one.summary,
            "chooses": "as it reads" if one.adaptive else "beforehand",
            "source": one.source,
            "parameters": "; ".join(f"{name}: {text}" for name, text in one.params.items()),
            "control": one.control,
        }
        for one in READERS.values()
    ]
