"""The toy's one setting."""

from __future__ import annotations

from ..rows import EngineRow

ROWS = (EngineRow("toy:plain", note="keeps all", distribution="numpy"),)
OUT_OF_REACH: dict[str, str] = {}
