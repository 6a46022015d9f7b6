"""The non-adaptive algorithms that ship with kvbarrier: sparse patterns, and controls.

Only names and words here; an algorithm's module is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReaderEntry:
    """One non-adaptive algorithm that ships with us.

    Attributes:
        name: as on the command line.
        module, cls: where it is, in this package.
        summary: what it reads, in a line.
        source: who it is by, or what it controls.
        params: its parameters, each with its meaning (and its default).
        control: it knows the game's streams, so its result is known beforehand.
    """

    name: str
    module: str
    cls: str
    summary: str
    source: str
    params: Mapping[str, str]
    control: bool = False

    def load(self) -> type:
        """Import its class."""
        module = importlib.import_module(f".{self.module}", __package__)
        found: type = getattr(module, self.cls)
        return found


_SHARE = {"share": "part of the n-1 earlier tokens that it may read, 0 to 1 (0.5)"}

_ENTRIES = (
    ReaderEntry(
        "sampling", "patterns", "Sampling",
        "a uniformly random set of tokens, a new one for every query",
        "ours: no plan does better on average (Theorem 19's line)", _SHARE,
    ),
    ReaderEntry(
        "window", "patterns", "Window", "the last tokens",
        "Beltagy, Peters, Cohan 2020, Longformer", _SHARE,
    ),
    ReaderEntry(
        "sinks", "patterns", "Sinks", "the first four tokens and the last ones",
        "Xiao et al. 2024, StreamingLLM", _SHARE,
    ),
    ReaderEntry(
        "strided", "patterns", "Strided",
        "the last l tokens and every l-th before them, l the smallest stride within the share",
        "Child et al. 2019, Sparse Transformers, strided", _SHARE,
    ),
    ReaderEntry(
        "fixed", "patterns", "Fixed",
        "the last block of sqrt(n) tokens and the end of every earlier block",
        "Child et al. 2019, Sparse Transformers, fixed", _SHARE,
    ),
    ReaderEntry(
        "random-blocks", "patterns", "RandomBlocks",
        "random blocks of eight tokens, and the last block",
        "ours: sampling as hardware reads", _SHARE,
    ),
    ReaderEntry(
        "big-bird", "patterns", "BigBird",
        "blocks of eight: the first ones, the last ones, and random ones between, a third each",
        "Zaheer et al. 2020, Big Bird", _SHARE,
    ),
    ReaderEntry(
        "minimax", "controls", "Minimax",
        "a random set of tokens; where it shows nothing, a coin says which stream it was",
        "control: the least error on the worst stream, (1-f)/(2-f)",
        {**_SHARE, "otherwise": "what it answers when the coin says D_i (5.5)"}, control=True,
    ),
    ReaderEntry(
        "one-coordinate", "controls", "OneCoordinate",
        "one coordinate of the values of a random part of the tokens",
        "control: the paper's family (as reconstructed) needs no more than one number a token",
        {"share": "part of the n-1 earlier tokens, 0 to 1 (1.0)"}, control=True,
    ),
    ReaderEntry(
        "key-cells", "controls", "KeyCells",
        "a random part of the single coordinates of all keys",
        "control for the family D_ij of experiment non-adaptive; knows nothing of D_i",
        {
            "share": "part of the (n-1) d cells, 0 to 1 (0.5)",
            "coordinates": "read only the first so many of each key; 0 for any (0)",
            "otherwise": "the output of D_ij, to be said at times when nothing is seen (None)",
        }, control=True,
    ),
)  # fmt: skip

READERS: Mapping[str, ReaderEntry] = {one.name: one for one in _ENTRIES}


def is_reader(thing: Any) -> bool:
    """Whether something is a class with ``plan`` and ``answer``, and no ``attend``."""
    doors = ("plan", "answer")
    has = inspect.isclass(thing) and all(callable(getattr(thing, door, None)) for door in doors)
    return has and not hasattr(thing, "attend")


def describe() -> list[dict[str, object]]:
    """The table for ``kvbarrier list``: plain data, one row an algorithm."""
    return [
        {
            "name": one.name,
            "reads": one.summary,
            "source": one.source,
            "parameters": "; ".join(f"{name}: {text}" for name, text in one.params.items()),
            "control": one.control,
        }
        for one in _ENTRIES
    ]
