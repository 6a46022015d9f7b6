"""A way in which an engine's cache is used, of which each is examined by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Way:
    """Parameters beside those that were given, and how large a stream shows something.

    Attributes:
        words: what is particular about it, for people; empty for the ordinary way.
        params: all parameters of the target.
        tokens: how many a schedule feeds: more than whatever size the cache has.
        layers: of a token.
        families: of schedules (``protocols.life.families``); None: all.
        questions: a prompt is taken at once and then has turns of questions, which are taken back;
            no other schedule is.
    """

    words: str
    params: Mapping[str, Any] = field(default_factory=dict)
    tokens: int = 40
    layers: int = 1
    families: tuple[str, ...] | None = None
    questions: bool = False


BEAMS = ("beam", "random")
"""The families that use ``select``."""
BEYOND = 24
"""How many more tokens than a window or a residual has."""


def with_size(params: Mapping[str, Any], name: str, usual: int) -> tuple[dict[str, Any], int]:
    """The parameters with a size, the usual one if none was given, and how many tokens exceed it.

    >>> with_size({}, "window", 16), with_size({"window": 30}, "window", 16)
    (({'window': 16}, 40), ({'window': 30}, 54))
    """
    size = params.get(name, usual)
    return {**params, name: size}, BEYOND + (size if type(size) is int else usual)
