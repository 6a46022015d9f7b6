"""Breaks of the claims about sparsity."""

from __future__ import annotations

import pandas as pd
from breaks.tables import Break, column, frame
from kvbarrier.experiments.sparsity.measure import ALICE, MEMORY, ONE_HOT, TRUNCATION


def _uniform_rows_of_alice(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(own_top=rows["own_top"].where(rows["kind"] != ALICE, 1))


BREAKS: dict[str, Break] = {
    # With q = 0 Alice's rows are uniform: her own weights are not the largest.
    "sparsity.one-hot": frame(ONE_HOT, _uniform_rows_of_alice),
    "sparsity.promise": column(TRUNCATION, "changed_cut", lambda c: c + 1),
    # Three quarters of the tokens were enough.
    "sparsity.memory": column(MEMORY, "window", lambda c: (c * 0.75 / 0.8).round()),
}
