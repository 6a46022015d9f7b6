"""Breaks of the claims about Fano's bound."""

from breaks.tables import Break, column
from kvbarrier.experiments.fano.measure import CHAIN, HYPER, OPTIMUM

BREAKS: dict[str, Break] = {
    # Half of the least errors lies below the curve already at L = 1, where the curve is met.
    "fano.bound": column(OPTIMUM, "errors_subsets", lambda c: c // 2),
    "fano.chain": column(CHAIN, "marginal", lambda c: c + 0.5),
    "fano.optimum": column(OPTIMUM, "errors_codebooks", lambda c: c + 1),
    "fano.hypercompression": column(HYPER, "within", lambda c: c + 1),
}
