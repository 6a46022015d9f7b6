"""Where and how large an experiment is run, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Scale = Literal["quick", "full"]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Run:
    """Where and how large: the folder to fill, the scale, who does the work, who hears of it."""

    folder: Path
    scale: Scale
    executor: Executor
    progress: Progress = field(default=lambda stage, done, total: None)
