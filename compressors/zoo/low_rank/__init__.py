"""Merging and low rank: several tokens, layers or dimensions share what is kept."""

from __future__ import annotations

from ...catalog_entry import CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        name="minicache",
        module="zoo.low_rank.minicache",
        cls="MiniCache",
        summary="one direction for the same token in two adjacent layers, and a length each",
        source="Liu et al. 2024, MiniCache: KV Cache Compression in Depth Dimension",
        budgets="from 33/64 with two layers",
        params={
            "t": "where between the two directions (0.6)",
            "retained": "tokens of a pair kept apart (what the budget holds; free: 5 % of them)",
        },
        assumes="adjacent layers have nearly parallel keys and values",
        broken_by="independent values in adjacent layers",
        settings=tuple({"retained": r} for r in (0, 51, 128, 256, 512, 768)),
        own_size={"layers": 2, "heads": 2},
        own_size_reason="it merges pairs of layers",
    ),
    CatalogEntry(
        name="low-rank",
        module="zoo.low_rank.low_rank",
        cls="LowRank",
        summary="keys and values as coordinates in their leading singular directions",
        source="Saxena et al. 2024, Eigen Attention: Attention in Low-Rank Space for KV Cache "
        "Compression",
        budgets="from one direction of each: at d = 64 and 1024 tokens 1/60",
        params={
            "rank": "directions of keys and of values (what the budget holds; all without one)",
            "queries": "the keys' directions are those of keys and queries together (True)",
        },
        assumes="keys and values near a subspace of few dimensions",
        broken_by="near-orthogonal keys and independent values, which fill every dimension",
    ),
    CatalogEntry(
        name="scatterbrain",
        module="zoo.low_rank.scatterbrain",
        cls="Scatterbrain",
        summary="sums of random features of old tokens, and the last tokens, read by a hash",
        source="Chen et al. 2021, Scatterbrain: Unifying Sparse and Low-rank Attention "
        "Approximation",
        budgets="any above a token and two features in fp32: half of it for features",
        params={
            "m": "features (what half of the budget holds, at most d log d)",
            "window": "tokens kept (what the budget holds; an eighth without one)",
            "rounds": "independent hashes (4)",
            "buckets": "of each hash, even (16)",
        },
        assumes="large scores on few tokens that are kept and hash alike, and small ones elsewhere",
        broken_by="large scores on old tokens, which only features with a variance e^|q+k|^2 know",
    ),
)
