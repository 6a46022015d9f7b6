"""Breaks of the Johnson-Lindenstrauss claims."""

import pandas as pd
from breaks.tables import Break, column, frame
from kvbarrier.experiments.jl.measure import CERTIFIED, CONSTANT, DIMENSION, TAILS, UNION


def often(quantity: str) -> Break:
    """Every matrix moves that quantity too far."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        chosen = rows["quantity"] == quantity
        return rows.assign(exceeded=rows["exceeded"].mask(chosen, rows["matrices"]))

    return frame(TAILS, change)


def shortest_code(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["method"] != "kerdock") | (rows["d"] <= 16)]


BREAKS: dict[str, Break] = {
    "jl.norms": often("norm"),
    "jl.products": often("product"),
    "jl.union": column(UNION, "kept", lambda c: c // 2),
    # The tails of real matrices twice as heavy as they are at the smallest n.
    "jl.constant": column(CONSTANT, "exact_times_n", lambda c: c * 1.1 / c.max()),
    # As slow as the lemma fears: twice the deviation takes four times the dimension.
    "jl.suffices": column(DIMENSION, "deviation", lambda c: 2 * c),
    "jl.vacuous": frame(CERTIFIED, shortest_code),
    "jl.interference": column(DIMENSION, "closed_scale", lambda c: c / 20),
}
