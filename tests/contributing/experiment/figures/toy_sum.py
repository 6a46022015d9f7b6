"""A toy's picture: one bar."""

from __future__ import annotations

from pathlib import Path

from ..experiments.kit.tables import read_table
from ..experiments.toy_sum import TABLE
from .style import house_style, save, sheet


def picture(folder: Path, path: Path) -> None:
    """Draw the table in ``folder`` as a PNG."""
    table = read_table(folder, TABLE)
    with house_style():
        figure, axes = sheet()
        axes.bar(table["a"], table["total"])
        save(figure, path)
