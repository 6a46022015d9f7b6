"""Eviction: whole tokens are kept or dropped, by what queries attended to."""

from __future__ import annotations

from ..catalog_entry import EVICTS, CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        name="h2o",
        module="eviction.h2o",
        cls="H2O",
        summary="the tokens with the most attention received so far, and the newest",
        source="Zhang et al. 2023, H2O: Heavy-Hitter Oracle for Efficient Generative Inference",
        budgets=EVICTS,
        params={
            "size": "tokens held (what the budget holds)",
            "recent": "part of them for the newest tokens (0.5)",
        },
        assumes="a few tokens get most of the attention of all queries, the last one's too",
        broken_by="queries that are zero until the last one, which asks for any token",
    ),
    CatalogEntry(
        name="scissorhands",
        module="eviction.scissorhands",
        cls="Scissorhands",
        summary="the tokens that recent queries found important, and the newest",
        source="Liu et al. 2023, Scissorhands: Persistence of Importance for KV Cache Compression",
        budgets=EVICTS,
        params={
            "size": "tokens held (what the budget holds)",
            "drop": "part of them that leaves at once (0.5)",
            "recent": "newest tokens that stay (10)",
            "history": "queries that count (400, or as many tokens as leave at once)",
        },
        assumes="what was important to recent queries will be again",
        broken_by="queries that are zero until the last one, which asks for any token",
    ),
    CatalogEntry(
        name="tova",
        module="eviction.tova",
        cls="TOVA",
        summary="all but, each step, the token that the last query attended to least",
        source="Oren et al. 2024, Transformers are Multi-State RNNs",
        budgets=EVICTS,
        params={"size": "tokens held (what the budget holds)"},
        assumes="what the last query attends to least is not attended to later",
        broken_by="queries that are zero until the last one, which asks for any token",
    ),
)
