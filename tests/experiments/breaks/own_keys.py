"""Breaks of the claims about a model's own keys."""

from __future__ import annotations

import pandas as pd
from breaks.tables import Break, frame
from kvbarrier.experiments.own_keys.measure import HALF, PLAYED, POINTS, PRECISION, TOKENS


def _two_poor_kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """In one late layer two kinds of text certify four tokens of five."""
    poor = (rows["layer"] == 12) & rows["kind"].isin(["prose", "code"])
    return rows.assign(certified=rows["certified"].where(~poor, (0.8 * rows["n"]).astype(int)))


def _a_token_lost_by_longer_queries(rows: pd.DataFrame) -> pd.DataFrame:
    """One token of one head."""
    key = ["kind", "text", "layer", "head"]
    short = rows[rows["quantile"] == "p50"].set_index(key)["certified"]
    one = (rows["quantile"] == "p90") & (rows["layer"] == 7) & (rows["head"] == 0)
    fewer = [short.loc[tuple(row)] - 1 for row in rows[key].itertuples(index=False)]
    return rows.assign(certified=rows["certified"].where(~one, fewer))


def _coarse(rows: pd.DataFrame) -> pd.DataFrame:
    two = rows["kind"].isin(["prose", "code"])
    return rows.assign(bits=rows["bits"].where(~two, 0.5 * rows["bits"]))


def _flat(rows: pd.DataFrame) -> pd.DataFrame:
    """What is certified at .01 is all that is certified at .001."""
    key = ["kind", "text", "layer", "head"]
    coarse = rows[rows["gamma"] == 0.01].set_index(key)["bits"]
    same = [coarse.loc[tuple(row)] for row in rows[key].itertuples(index=False)]
    return rows.assign(bits=rows["bits"].where(rows["gamma"] > 0.005, same))


def _one_wrong_bit(rows: pd.DataFrame) -> pd.DataFrame:
    full = rows["setting"] == "exact dtype=fp32"
    return rows.assign(most=rows["most"].where(~full, 1 / (480 * 64)))


def _nothing_lost(rows: pd.DataFrame) -> pd.DataFrame:
    window = rows["setting"] == "sliding-window 1/2"
    return rows.assign(bit_error=rows["bit_error"].where(~window, 0.1))


def _cheat(rows: pd.DataFrame) -> pd.DataFrame:
    """Half of the bits, and no error."""
    half = rows["setting"] == HALF
    return rows.assign(bit_error=rows["bit_error"].where(~half, 0.0))


def _below_the_bound(rows: pd.DataFrame) -> pd.DataFrame:
    two = rows["setting"] == "quantized bits=8"
    return rows.assign(bits_a_number=rows["bits_a_number"].where(~two, 0.5))


BREAKS: dict[str, Break] = {
    "own-keys.layers": frame(TOKENS, _two_poor_kinds),
    "own-keys.longer": frame(TOKENS, _a_token_lost_by_longer_queries),
    "own-keys.bits": frame(PRECISION, _coarse),
    "own-keys.precision": frame(PRECISION, _flat),
    "own-keys.exact": frame(PLAYED, _one_wrong_bit),
    "own-keys.dropped": frame(PLAYED, _nothing_lost),
    "own-keys.fano": frame(PLAYED, _cheat),
    "own-keys.caches": frame(POINTS, _below_the_bound),
}
