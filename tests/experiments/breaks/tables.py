"""What breaks have in common: a table of an experiment's folder, changed in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

Break = Callable[[Path], None]


def column(table: str, name: str, change: Callable[[pd.Series], pd.Series]) -> Break:
    """Change one column of a CSV table."""
    return frame(table, lambda rows: rows.assign(**{name: change(rows[name])}))


def frame(table: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Break:
    """Change a CSV table."""

    def apply(folder: Path) -> None:
        change(pd.read_csv(folder / table)).to_csv(folder / table, index=False)

    return apply
