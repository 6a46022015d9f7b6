"""Breaks of the scaling claims."""

from breaks.tables import Break, column
from kvbarrier.experiments.scaling.measure import TABLE

BREAKS: dict[str, Break] = {
    "scaling.n": column(TABLE, "slope", lambda c: c - 0.03),
    "scaling.d": column(TABLE, "slope", lambda c: c + 0.03),
    "scaling.limit": column(TABLE, "charged_bits", lambda c: c // 2),
}
