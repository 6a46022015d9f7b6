"""Breaks of the claims on lazy Gumbel sampling."""

import pandas as pd
from breaks.tables import Break, column, frame
from kvbarrier.experiments.gumbel.measure import CELLS, ERROR, GAP, SAMPLES, SPACE


def _shifted(cells: pd.DataFrame) -> pd.DataFrame:
    # The sampler takes from the last cells what it gives to the first, a quarter of each.
    first = cells["cell"] < 10
    last = cells["cell"] >= cells.groupby(["spread", "control"])["cell"].transform("max") - 9
    moved = (cells["observed"] // 4) * (first.astype(int) - last.astype(int))
    return cells.assign(observed=cells["observed"] + moved * (cells["control"] == 0))


def _linear(space: pd.DataFrame) -> pd.DataFrame:
    # A memory that doubles in the last decade alone.
    late = (space["n"] > 100_000) & (space["keep"] == "top")
    return space.assign(charged_bits=space["charged_bits"] * (1 + late))


def _heavier(space: pd.DataFrame) -> pd.DataFrame:
    front = space["keep"] == "frontier"
    return space.assign(tokens=space["tokens"] * (1.0 + 0.5 * front))


BREAKS: dict[str, Break] = {
    "gumbel.exact": frame(CELLS, _shifted),
    "gumbel.samples": column(SAMPLES, "mean", lambda c: c * 1.2),
    "gumbel.space": frame(SPACE, _linear),
    "gumbel.error": frame(
        ERROR, lambda rows: rows.assign(squared_error=rows["squared_error"] * rows["copies"] ** 0.5)
    ),
    "gumbel.gap": frame(
        GAP,
        lambda rows: rows.assign(overlap=rows["overlap"].where(rows["buffer"] != "horizon", 0.9)),
    ),
    "gumbel.frontier": frame(SPACE, _heavier),
}
