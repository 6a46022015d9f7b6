"""The fixed pattern of the Sparse Transformer: a block, and the ends of those before it."""

from __future__ import annotations

from ...catalog_entry import CatalogEntry
from ...readers.patterns import Fixed
from .pattern_cache import PatternCache


class SparseTransformerFixed(PatternCache):
    """Its own block and the last c of each earlier block (Child et al. 2019, 1904.10509, fixed).

    Blocks have l = ceil(sqrt(n)) tokens, and c is the largest number that fits.

    State: the number of tokens seen, int64, and the tokens in fp16.

    Raises:
        BudgetTooSmall: even c = 1 reads more tokens than fit.

    Mechanisms:
        own block: adapted, the newest data token's: where n is a multiple of l, the block that the
            last query opens has no other token.
        last c positions of each earlier block: implemented.
        both sets read by one merged head (Section 5.1): implemented.
        own token read: implemented.
        distinct summary positions of several heads: not meaningful here, a head is by itself.
        every query with a pattern of its own: not meaningful here, only the last one is asked.
        recomputation and block-sparse kernels: not meaningful here, they do not change answers.
    """

    name = "sparse-transformer-fixed"
    pattern = Fixed()


ENTRY = CatalogEntry(
    SparseTransformerFixed,
    summary="the newest block of sqrt(n) tokens and the last c of each earlier block",
    source="Child et al. 2019, Generating Long Sequences with Sparse Transformers",
    budgets="from 2 sqrt(n) tokens in fp16",
    assumes="the last tokens of a block sum it up",
    broken_by="a hidden place elsewhere in a block; which places are read is public",
)
