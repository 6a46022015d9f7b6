"""The strided pattern of the Sparse Transformer: a window, and every l-th token before it."""

from __future__ import annotations

from ...catalog_entry import CatalogEntry
from ...readers.patterns import Strided
from .pattern_cache import PatternCache


class SparseTransformerStrided(PatternCache):
    """The last l tokens and every l-th before them (Child et al. 2019, arXiv 1904.10509, strided).

    The last query, at position n, reads n - l .. n - 1 and every j with (n - j) mod l = 0. l is the
    smallest stride whose tokens fit, so a small budget has l near sqrt(n), and reads about
    2 sqrt(n) tokens, the fewest that any stride reads.

    State: the number of tokens seen, int64, and the tokens in fp16.

    Raises:
        BudgetTooSmall: every stride reads more tokens than fit.

    Mechanisms:
        last l tokens and every l-th one: implemented.
        both sets read by one merged head (Section 5.1): implemented.
        own token read: implemented.
        every query with a pattern of its own: not meaningful here, only the last one is asked.
        recomputation and block-sparse kernels: not meaningful here, they do not change answers.
    """

    name = "sparse-transformer-strided"
    pattern = Strided()


ENTRY = CatalogEntry(
    SparseTransformerStrided,
    summary="the last l tokens and every l-th before them, l chosen from the budget",
    source="Child et al. 2019, Generating Long Sequences with Sparse Transformers",
    budgets="from 2 sqrt(n) tokens in fp16",
    assumes="what matters is near, or at a fixed period",
    broken_by="a hidden place anywhere else; which places are read is public",
)
