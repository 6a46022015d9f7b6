"""Breaks of the spike's claims."""

from breaks.tables import Break, column
from kvbarrier.experiments.spike.measure import TABLE

BREAKS: dict[str, Break] = {
    "spike.bounds": column(TABLE, "max_0", lambda c: c + 0.01),
    "spike.decodes": column(TABLE, "bit_error", lambda c: c + 1e-6),
    "spike.transition": column(TABLE, "error_low", lambda c: c * 0.0),
    "spike.order": column(TABLE, "closed_scale", lambda c: c * 0.5),
}
