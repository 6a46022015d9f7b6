"""Breaks of the claims about every time step."""

from __future__ import annotations

from breaks.tables import Break, column
from kvbarrier.experiments.every_step.measure import GRID, TIMES

BREAKS: dict[str, Break] = {
    # Five times the tokens: above what any unit keys have in small dimensions.
    "steps.joint": column(GRID, "bits", lambda c: 5 * c),
    # The answers of an empty state.
    "steps.times": column(TIMES, "charged_bits", lambda c: 0 * c),
    "steps.window": column(TIMES, "wrong", lambda c: c + 1),
}
