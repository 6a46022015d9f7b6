"""Quantisation: every token, at a few bits a number."""

from __future__ import annotations

from ..catalog_entry import CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        name="cachegen",
        module="quantisation.cachegen",
        cls="CacheGen",
        summary="differences from an anchor token, a few bits each in an entropy-coded bitstream",
        source="Liu et al. 2024, CacheGen: KV Cache Compression and Streaming for Fast LLM Serving",
        budgets="from about 1/12, where the anchors are all that fits",
        params={
            "step": "of the differences, in their standard deviation (the finest in the budget)",
            "group": "tokens with one anchor (10)",
        },
        assumes="tokens near one another have near keys and values",
        broken_by="independent values on near-orthogonal keys: a difference is no shorter",
    ),
)
