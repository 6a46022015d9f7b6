"""Breaks of the claims about growth."""

from __future__ import annotations

import pandas as pd
from breaks.tables import Break, column, frame
from kvbarrier.experiments.growth.measure import INGEST, TABLE


def _power(names: tuple[str, ...], change: float) -> Break:
    """Times of these targets with another exponent of n."""

    def apply(rows: pd.DataFrame) -> pd.DataFrame:
        of_them = rows["target"].isin(names)
        factor = (rows["n"] / 1024.0) ** change
        for name in ("seconds", "seconds_median"):
            rows[name] = rows[name].where(~of_them, rows[name] * factor)
        return rows

    return frame(TABLE, apply)


BREAKS: dict[str, Break] = {
    # A policy that looks at all tokens for each token, where none is looked at.
    "growth.linear": _power(("quantized",), 1.0),
    "growth.square": _power(("h2o",), -1.0),
    # The catalog keeps silent about a square.
    "growth.catalog": frame(
        INGEST, lambda rows: rows.assign(square=rows["square"].where(rows["target"] != "tova"))
    ),
    # The whole stream copied once more.
    "growth.memory": column(TABLE, "peak_bytes", lambda c: 2 * c),
    "growth.bit": frame(TABLE, lambda rows: rows.assign(peak_bytes=rows["peak_bytes"] * rows["n"])),
    "growth.limit": column(TABLE, "read_seconds", lambda c: c / 1e6),
}
