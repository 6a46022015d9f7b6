"""A toy: the Index game on hypercube keys (theory of ``index``)."""

from __future__ import annotations

from . import keys
from .index import IndexReduction


def toy_index(n: int, d: int, eta: float, scale: str | float) -> IndexReduction:
    """The reduction for n tokens in dimension d under 1 +- eta."""
    return IndexReduction.build(keys.make("hypercube", n, d, 0), d, eta=eta, scale=scale)
