"""Breaks of the claims about SubGen."""

import pandas as pd
from breaks.tables import Break, column, frame
from kvbarrier.experiments.subgen import GROWTH, GUARANTEE, INDEX, MEMORY, exact_interval


def three_in_a_hundred_fail(rows: pd.DataFrame) -> pd.DataFrame:
    within = (0.97 * rows["runs"]).astype(int)
    ends = [exact_interval(k, n) for k, n in zip(within, rows["runs"], strict=True)]
    low, high = zip(*ends, strict=True)
    return rows.assign(within=within, low=low, high=high)


BREAKS: dict[str, Break] = {
    "subgen.guarantee": frame(GUARANTEE, three_in_a_hundred_fail),
    "subgen.clusterable": frame(GROWTH, lambda rows: rows.assign(bits=rows["bits"] + rows["n"])),
    "subgen.memory": column(MEMORY, "bits", lambda c: 2 * c),
    "subgen.index": column(INDEX, "m", lambda c: c - 1),
}
