"""The ways in which a cache of vLLM is examined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..way import Way


def ways(what: str, params: Mapping[str, Any]) -> list[Way]:
    """In chunks, over the end of a block; ``what`` stands behind ``vllm:``."""
    given = {"feed": "chunks", "block_size": 32, **params}
    return [Way("", given)]
