"""What the table decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kit.experiment import Judgement, claim, judge
from .measure import TABLE

if TYPE_CHECKING:
    import pandas as pd


@claim("toy-sum.four", "observation", "Two and two are four", "ours", TABLE)
def four(table: pd.DataFrame) -> Judgement:
    """The sum is four."""
    total = int(table["total"].iloc[0])
    return judge(total == 4, f"the sum is {total}")
