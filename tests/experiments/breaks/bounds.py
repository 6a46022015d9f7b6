"""Breaks of the claims about bounds that can be used."""

from __future__ import annotations

import pandas as pd
from breaks.tables import Break, column, frame
from kvbarrier.experiments import bounds, bounds_precision


def _shrunk(rows: pd.DataFrame) -> pd.DataFrame:
    """The largest n of a dimension needs less than the one before."""
    largest = rows.groupby("d")["n"].transform("max") == rows["n"]
    return rows.assign(logit_range=rows["logit_range"].where(~largest, 0.1))


BREAKS: dict[str, Break] = {
    "bounds.scales": column(bounds.SETS, "logit_range", lambda scale: scale + 0.02),
    "bounds.verified": column(bounds.SETS, "flips_inside", lambda flips: flips + 1),
    "bounds.range": frame(bounds.RANGE, _shrunk),
    "bounds.guarantee": column(bounds.MODELS, "compression_kv", lambda factor: factor * 2),
    "bounds.precision": column(bounds_precision.LAW, "levels", lambda levels: levels + 1),
    "bounds.caches": column(bounds_precision.CACHES, "mse", lambda mse: mse / 1000),
    "bounds.alphabets": column(bounds_precision.GAMES, "misread_below", lambda rows: rows - 1),
    "bounds.payload": column(bounds_precision.PAYLOAD, "wrong_in_keys", lambda wrong: wrong + 1),
}
