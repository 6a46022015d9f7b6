"""Breaks of the claims about SubGen."""

import pandas as pd
from breaks.tables import Break, column, frame
from kvbarrier.experiments.kit.binomial import clopper_pearson
from kvbarrier.experiments.subgen.measure import GROWTH, GUARANTEE, INDEX, LEVEL, MEMORY, TIGHT


def three_in_a_hundred_fail(rows: pd.DataFrame) -> pd.DataFrame:
    within = (0.97 * rows["runs"]).astype(int)
    low, high = clopper_pearson(within, rows["runs"], LEVEL).T
    return rows.assign(within=within, low=low, high=high)


BREAKS: dict[str, Break] = {
    "subgen.guarantee": frame(GUARANTEE, three_in_a_hundred_fail),
    "subgen.clusterable": frame(GROWTH, lambda rows: rows.assign(bits=rows["bits"] + rows["n"])),
    # A little less than twice the state: only one dimension's streams are above (19) then.
    "subgen.memory": column(MEMORY, "bits", lambda c: (1.6 * c).round()),
    # A key in every eight opens a second cluster.
    "subgen.tight": column(TIGHT, "bits", lambda c: (1.15 * c).round()),
    "subgen.index": column(INDEX, "m", lambda c: c - 1),
}
