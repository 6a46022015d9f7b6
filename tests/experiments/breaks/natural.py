"""Breaks of the claims about natural text."""

from __future__ import annotations

import pandas as pd
from breaks.tables import Break, frame
from kvbarrier.experiments.natural import claims
from kvbarrier.experiments.natural.measure import GEOMETRY, LOSS


def _worse_full_cache(rows: pd.DataFrame) -> pd.DataFrame:
    full = rows["setting"] == "exact dtype=fp32"
    return rows.assign(increase=rows["increase"].where(~full, 0.01))


def _exchanged(rows: pd.DataFrame) -> pd.DataFrame:
    """The pair's increases change places, on every text."""
    names = {claims.KEEPS_ALL: claims.KEEPS_FEW, claims.KEEPS_FEW: claims.KEEPS_ALL}
    by = rows.set_index(["kind", "text", "setting"])["increase"]
    other = [(r.kind, r.text, names.get(r.setting, r.setting)) for r in rows.itertuples()]
    return rows.assign(increase=by.loc[other].to_numpy())


def _in_one_kind(rows: pd.DataFrame) -> pd.DataFrame:
    """In tables, and only there, the pair stays as on the hard instance."""
    tables = rows["kind"] == "tables"
    return pd.concat([rows[~tables], _exchanged(rows[tables])])


def _attention_reversed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(attention_error=1 / (1 + rows["attention_error"]))


def _short_queries(rows: pd.DataFrame) -> pd.DataFrame:
    one = rows["layer"] == 7
    return rows.assign(range_max=rows["range_max"].where(~one, 5.0))


def _few_read(rows: pd.DataFrame) -> pd.DataFrame:
    natural = rows["kind"] != "hard"
    return rows.assign(addressed=rows["addressed"].where(~natural, 0.5))


BREAKS: dict[str, Break] = {
    "natural.same": frame(LOSS, _worse_full_cache),
    "natural.inversion": frame(LOSS, _exchanged),
    "natural.kinds": frame(LOSS, _in_one_kind),
    "natural.proxy": frame(LOSS, _attention_reversed),
    "natural.range": frame(GEOMETRY, _short_queries),
    "natural.keys": frame(GEOMETRY, _few_read),
}
