"""The paper's own algorithms, and those of its follow-ups."""

from __future__ import annotations

from ...catalog_entry import DTYPE, EVICTS, CatalogEntry

ENTRIES = (
    CatalogEntry(
        name="running-sum",
        module="zoo.paper.running_sum",
        cls="RunningSum",
        summary="the last W tokens and the sum of all older values",
        source="ours: exact for the unmasked sliding window of Haris & Onak 2025, eq. 20",
        budgets=EVICTS + ", beside the sum",
        attention="unmasked-window",
        params={"window": "tokens kept (the rule's, or what the budget holds)", "dtype": DTYPE},
    ),
    CatalogEntry(
        name="algorithm-1",
        module="zoo.paper.algorithm_1",
        cls="Algorithm1",
        summary="the last W tokens and sampled older values; it answers with drawn values",
        source="Haris & Onak 2025, Algorithm 1 and Theorem 25 (reconstructed)",
        budgets=EVICTS + ", beside the samples",
        attention="unmasked-window",
        params={
            "window": "tokens kept (the rule's, or what the budget holds)",
            "copies": "samples in a mean (1)",
            "means": "means whose median is the answer (1)",
            "dtype": DTYPE,
        },
    ),
    CatalogEntry(
        name="subgen",
        module="zoo.paper.subgen",
        cls="SubGen",
        summary="samples of keys by cluster, and of key-value pairs by the values' norms",
        source="Zandieh, Han, Mirrokni, Karbasi 2024, SubGen (Theorem 11)",
        budgets="any: clusters as many as fit; free: as many as the keys need",
        params={
            "delta": "radius of a cluster (0.5)",
            "t": "sampled keys of a cluster (8)",
            "s": "sampled pairs (64, with a budget at most half of it)",
            "eps": "instead of t and s: the error of Theorem 11",
            "r": "with eps: the largest norm of a query",
            "constant": "with eps: the factor before Theorem 11's t and s (4)",
        },
    ),
    CatalogEntry(
        name="four-cache",
        module="zoo.paper.tensor_caches",
        cls="FourCache",
        summary="tensor attention's factors K1, K2, V1, V2 of every token",
        source="Chen, Li, Liang, Shi, Song, Tian 2025, arXiv 2503.11108 (as we reconstruct it)",
        budgets="1/2 in fp8, 1 in fp16, 2 in fp32",
        attention="tensor",
        params={"dtype": "fp32, fp16, bf16 or fp8 (the widest in the budget)"},
    ),
    CatalogEntry(
        name="two-cache",
        module="zoo.paper.tensor_caches",
        cls="TwoCache",
        summary="tensor attention's products of all n^2 pairs of tokens, beside the factors",
        source="Chen, Li, Liang, Shi, Song, Tian 2025, arXiv 2503.11108 (as we reconstruct it)",
        budgets="free: 1 + n/2 times four-cache, so for small n",
        attention="tensor",
        params={"dtype": "fp32, fp16, bf16 or fp8 (the widest in the budget)"},
    ),
)
