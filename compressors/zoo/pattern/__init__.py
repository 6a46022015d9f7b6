"""Fixed patterns: which positions are read is said before there is any data."""

from __future__ import annotations

from ...catalog_entry import CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        name="sparse-transformer-strided",
        module="zoo.pattern.sparse_transformer_strided",
        cls="SparseTransformerStrided",
        summary="the last l tokens and every l-th before them, l chosen from the budget",
        source="Child et al. 2019, Generating Long Sequences with Sparse Transformers",
        budgets="from 2 sqrt(n) tokens in fp16",
        assumes="what matters is near, or at a fixed period",
        broken_by="a hidden place anywhere else; which places are read is public",
    ),
    CatalogEntry(
        name="sparse-transformer-fixed",
        module="zoo.pattern.sparse_transformer_fixed",
        cls="SparseTransformerFixed",
        summary="the newest block of sqrt(n) tokens and the last c of each earlier block",
        source="Child et al. 2019, Generating Long Sequences with Sparse Transformers",
        budgets="from 2 sqrt(n) tokens in fp16",
        assumes="the last tokens of a block sum it up",
        broken_by="a hidden place elsewhere in a block; which places are read is public",
    ),
    CatalogEntry(
        name="big-bird",
        module="zoo.pattern.big_bird",
        cls="BigBird",
        summary="blocks of eight tokens: the first, the last, and random ones by public coins",
        source="Zaheer et al. 2020, Big Bird: Transformers for Longer Sequences",
        budgets="from one block in fp16",
        assumes="what matters is at the beginning, near, or spread over many tokens",
        broken_by="one hidden token in a block that is not read; the coins are public",
    ),
)
