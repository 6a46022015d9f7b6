"""The ways in which a press is examined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..way import Way


def ways(what: str, params: Mapping[str, Any]) -> list[Way]:
    """A prompt is pressed and then has several questions, as kvpress's pipeline asks them."""
    return [Way("several questions on one context", dict(params), questions=True, layers=2)]
