"""One row of sums."""

from __future__ import annotations

from typing import Any

from ..kit.experiment import Run
from ..kit.tables import fill

TABLE = "toy-sum.csv"


def run(job: Run) -> None:
    """Fill the table."""
    fill(job, "toy-sum", {TABLE: [(total, (2, 2))]})


def total(a: int, b: int) -> dict[str, Any]:
    """One row."""
    return {"a": a, "b": b, "total": a + b}
