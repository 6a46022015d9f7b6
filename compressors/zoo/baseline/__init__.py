"""What everything is compared with: the whole cache, and the plainest way of each kind."""

from __future__ import annotations

from ...catalog_entry import DTYPE, EVICTS, CatalogEntry

ENTRIES = (
    CatalogEntry(
        name="exact",
        module="zoo.baseline.exact",
        cls="Exact",
        summary="the whole cache, exact attention",
        source="the definition (Haris & Onak 2025, eq. 1-2)",
        budgets="1/2 in fp8, 1 in fp16, 2 in fp32",
        params={"dtype": "fp32, fp16, bf16 or fp8 (the widest in the budget)"},
    ),
    CatalogEntry(
        name="sliding-window",
        module="zoo.baseline.sliding_window",
        cls="SlidingWindow",
        summary="the last tokens",
        source="Beltagy, Peters, Cohan 2020, Longformer",
        budgets=EVICTS,
        params={"window": "tokens kept (what the budget holds)", "dtype": DTYPE},
    ),
    CatalogEntry(
        name="streaming-llm",
        module="zoo.baseline.streaming_llm",
        cls="StreamingLLM",
        summary="the first few tokens, the attention sinks, and the last ones",
        source="Xiao et al. 2024, Efficient Streaming Language Models with Attention Sinks",
        budgets=EVICTS,
        params={
            "sinks": "first tokens that stay (4)",
            "window": "last tokens kept (what the budget holds)",
            "dtype": DTYPE,
        },
    ),
    CatalogEntry(
        name="reservoir",
        module="zoo.baseline.reservoir",
        cls="Reservoir",
        summary="a uniform random sample of the tokens, by public coins",
        source="Vitter 1985, Random Sampling with a Reservoir",
        budgets=EVICTS,
        params={"size": "tokens kept (what the budget holds)", "dtype": DTYPE},
    ),
    CatalogEntry(
        name="quantized",
        module="zoo.baseline.quantized",
        cls="Quantized",
        summary="every token, at a few bits a number",
        source="round to nearest between minimum and maximum, as in KIVI (Liu et al. 2024)",
        budgets="at d = 64 from 3/32 (1 bit a number) to 17/32 (8 bits), scales included",
        params={
            "bits": "8, 4, 2 or 1 a number (the most in the budget)",
            "axis": "what shares a scale, token or channel (token)",
            "group": "tokens in a group of the channel axis (32)",
        },
    ),
    CatalogEntry(
        name="top-k",
        module="zoo.baseline.top_k",
        cls="TopKAttention",
        summary="the last tokens, of which each query attends to its k highest scores",
        source="an algorithm built on sparsity, as in Haris & Onak 2025, Corollary 16",
        budgets=EVICTS,
        params={
            "k": "scores that count, with ties at the k-th (8)",
            "window": "tokens kept (what the budget holds)",
            "dtype": DTYPE,
        },
    ),
)
