"""A toy's picture: one bar."""

from __future__ import annotations

from pathlib import Path

from ..experiments.kit.tables import read_table
from ..experiments.toy_sum import TABLE
from .style import page


def picture(folder: Path, path: Path) -> None:
    """Draw the table in ``folder`` as a PNG."""
    table = read_table(folder, TABLE)
    with page(path) as (_, axes):
        axes.bar(table["a"], table["total"])
