"""Which pictures an experiment's tables become: the module of the same name in this room."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType


def draw(name: str, tables: Path, out: Path | None = None) -> list[Path]:
    """Draw the pictures of an experiment from ``tables`` into ``out``, or beside the tables.

    Each is written as PNG, SVG and PDF; their paths are returned without a suffix.
    """
    folder = tables if out is None else out
    _module(name).picture(tables, folder / name)
    return [folder / one for one in pictures(name)]


def pictures(name: str) -> tuple[str, ...]:
    """Names of an experiment's pictures: its own, then those in its module's ``MORE``."""
    return (name, *getattr(_module(name), "MORE", ()))


def _module(name: str) -> ModuleType:
    return importlib.import_module(f".{name.replace('-', '_')}", __package__)
