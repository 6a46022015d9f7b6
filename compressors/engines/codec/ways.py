"""The ways in which a codec is examined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..way import Way


def ways(what: str, params: Mapping[str, Any]) -> list[Way]:
    """A codec has no operations but to be fed, saved and restored; it is fed in pieces of 8."""
    given = {"feed": "stream", **params}
    if given["feed"] == "stream":
        given.setdefault("chunk", 8)
    return [Way("", given)]
