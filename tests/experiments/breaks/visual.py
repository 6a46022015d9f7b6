"""Breaks of the claims about visual autoregression."""

from breaks.tables import Break, column
from breaks.tensor import one_wrong_bit, rows_of, third_of_the_errors
from kvbarrier.experiments.visual.measure import PLAYED, SIDES

BREAKS: dict[str, Break] = {
    "visual.decodes": rows_of(PLAYED, "exact", one_wrong_bit),
    "visual.rejects": rows_of(PLAYED, "time-sharing", third_of_the_errors),
    "visual.memory": column(SIDES, "certified_bits", lambda c: (c**0.9).astype(int)),
}
