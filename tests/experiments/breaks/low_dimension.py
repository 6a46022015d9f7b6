"""Breaks of the claims about few dimensions."""

from breaks.tables import Break, column, frame
from kvbarrier.experiments.low_dimension.measure import (
    BUDGET,
    CLUSTERS,
    COVERS,
    KISSING,
    NETS,
    PLANE,
    RANDOM,
)

BREAKS: dict[str, Break] = {
    # Polynomially many tokens: ln(bits/d) = 3 ln d flattens.
    "low.exponential": frame(RANDOM, lambda rows: rows.assign(bits=rows["d"] ** 4)),
    # One of the kissing configurations with a pair that is nearer.
    "low.kissing": column(KISSING, "largest_inner", lambda c: c + (c == c.max())),
    "low.plane": column(PLANE, "wrong", lambda c: c + 1),
    "low.budget": column(BUDGET, "n", lambda c: c + 1),
    "low.exponent": frame(BUDGET, lambda rows: rows.assign(n=rows["n"] * rows["R"] ** 0.05)),
    "low.covering": column(NETS, "net", lambda c: 2 * c),
    # One ball fewer than the line needs.
    "low.number": frame(COVERS, lambda rows: rows.assign(cover=rows["cover"] - (rows["d"] == 1))),
    "low.clusterable": column(CLUSTERS, "diameter", lambda c: 1.1 * c),
}
