"""Which figure an experiment's tables become: the module of the same name in this room."""

from __future__ import annotations

import importlib
from pathlib import Path


def draw(name: str, folder: Path) -> Path:
    """Draw the figure of an experiment from the tables in ``folder``; return the picture's path."""
    path = folder / f"{name}.png"
    importlib.import_module(f".{name.replace('-', '_')}", __package__).picture(folder, path)
    return path
