"""The ways in which a cache of OpenVINO is examined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..way import Way


def ways(what: str, params: Mapping[str, Any]) -> list[Way]:
    """It is fed token by token, saved and restored; ``what`` stands behind ``openvino:``."""
    return [Way("", {"feed": "stream", **params})]
