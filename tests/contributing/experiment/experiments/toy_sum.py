"""A toy: two and two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .kit.experiment import Experiment, Judgement, claim, judge
from .kit.run import Run
from .kit.tables import fill

if TYPE_CHECKING:
    import pandas as pd

TABLE = "toy-sum.csv"


def run(job: Run) -> None:
    """Fill the table."""
    fill(job, "toy-sum", {TABLE: [(total, (2, 2))]})


def total(a: int, b: int) -> dict[str, Any]:
    """One row."""
    return {"a": a, "b": b, "total": a + b}


@claim("toy-sum.four", "observation", "ours", TABLE)
def four(table: pd.DataFrame) -> Judgement:
    """Two and two are four."""
    found = int(table["total"].iloc[0])
    return judge(found == 4, f"the sum is {found}")


EXPERIMENT = Experiment(
    name="toy-sum",
    title="Two and two",
    run=run,
    claims=(four,),
    minutes={"quick": 0.1, "full": 0.1},
)
