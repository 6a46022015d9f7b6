"""Breaks of the claims about sparsity."""

from __future__ import annotations

from breaks.tables import Break, column
from kvbarrier.experiments.sparsity import MEMORY, ONE_HOT, TRUNCATION

BREAKS: dict[str, Break] = {
    # Own weights a thousandth below what S' gives.
    "sparsity.one-hot": column(ONE_HOT, "excess", lambda c: c + 1e-3),
    "sparsity.promise": column(TRUNCATION, "changed_cut", lambda c: c + 1),
    "sparsity.memory": column(MEMORY, "charged_bits", lambda c: c**0.97),
}
