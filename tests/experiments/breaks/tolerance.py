"""Breaks of the claims about the tolerance."""

from __future__ import annotations

import pandas as pd
from breaks.tables import Break, column, frame
from kvbarrier.experiments.tolerance.measure import COMPRESSORS, PAPER, ROWS, WORST


def _about(names: tuple[str, ...], at: str, name: str, change: float) -> Break:
    """Add to a column in the rows of some conditions, at or below the exact scale."""

    def apply(table: pd.DataFrame) -> pd.DataFrame:
        near = table["ratio"].eq(1.0) if at == "exact" else table["ratio"].between(0.999, 0.9999999)
        chosen = table["condition"].isin(names) & near
        table.loc[chosen, name] = (table.loc[chosen, name] + change).clip(lower=0)
        return table

    return frame(WORST, apply)


def _signs_need_more(table: pd.DataFrame) -> pd.DataFrame:
    # A scale that grows with eta, as it does for values {0, 1}.
    table["exact_scale"] += table["tolerance"]
    return table


def _wrong_beyond(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[table["largest"] > table["eta"], "wrong"] += 1
    return table


BREAKS: dict[str, Break] = {
    "tolerance.exact": column(PAPER, "wrong", lambda c: c + 1),
    # The scale a millionth too small: plain sums say so where the adversary might not.
    "tolerance.relative": _about(("M01",), "exact", "demand", 1e-6),
    "tolerance.sharp": _about(("M01",), "below", "flips", -1e9),
    "tolerance.signs": frame(WORST, _signs_need_more),
    "tolerance.additive": _about(("A+-",), "below", "unreadable", -1e9),
    "tolerance.row": column(ROWS, "rows_right", lambda c: c - 1),
    "tolerance.implication": column(COMPRESSORS, "wrong_within", lambda c: c + 1),
    "tolerance.converse": frame(COMPRESSORS, _wrong_beyond),
}
