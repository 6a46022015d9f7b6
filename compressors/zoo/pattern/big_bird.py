"""BigBird: global tokens, a window, and random blocks between them."""

from __future__ import annotations

from ...catalog_entry import CatalogEntry
from ...readers.patterns import BigBird as Pattern
from .pattern_cache import PatternCache


class BigBird(PatternCache):
    """Global, window and random blocks of tokens (Zaheer et al. 2020, arXiv 2007.14062).

    Blocks have eight tokens, a third of what fits each: the first of the stream, which all queries
    read, the last ones, and a random set by public coins. The budget holds whole blocks.

    State: the number of tokens seen, int64, and the tokens in fp16.

    Raises:
        BudgetTooSmall: not one block fits.

    Mechanisms:
        global tokens that all queries read (internal, ITC): implemented.
        window of the last tokens: implemented, the side before the query, as there is no other.
        random keys: implemented, by public coins.
        whole blocks: implemented, of eight tokens (64 in the paper's models).
        global tokens that read all tokens: not meaningful here, only the last query is asked.
        global tokens added to the stream (extended, ETC): not meaningful here, the stream
            is the game's.
    """

    name = "big-bird"
    pattern = Pattern()


ENTRY = CatalogEntry(
    BigBird,
    summary="blocks of eight tokens: the first, the last, and random ones by public coins",
    source="Zaheer et al. 2020, Big Bird: Transformers for Longer Sequences",
    budgets="from one block in fp16",
    assumes="what matters is at the beginning, near, or spread over many tokens",
    broken_by="one hidden token in a block that is not read; the coins are public",
)
