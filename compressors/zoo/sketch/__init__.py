"""Sketches and kernels: the attention output from a summary, a sample or a hash."""

from __future__ import annotations

from ...catalog_entry import CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        name="balance-kv",
        module="zoo.sketch.balance_kv",
        cls="BalanceKV",
        summary="tokens halved by a self-balancing walk, again and again, with weights 2^level",
        source="Han, Kapralov, Kochetkova, Sheth, Zandieh 2025, BalanceKV: KV Cache Compression "
        "through Discrepancy Theory",
        budgets="any above log2 n tokens: it chooses batch and levels",
        params={
            "batch": "tokens at which a level is halved (from the budget; 64 without one)",
            "levels": "how often a token may be halved (from the budget; 2 without one)",
            "c": "the walk's constant (1)",
            "temperature": "factor in the walk's kernel (1)",
        },
        assumes="tokens that resemble one another, so that one half stands for the other",
        broken_by="near-orthogonal keys with independent values: no token stands for another",
    ),
    CatalogEntry(
        name="hyper-attention",
        module="zoo.sketch.hyper_attention",
        cls="HyperAttention",
        summary="every token; a query reads one block of a hash order and a uniform sample",
        source="Han, Jayaram, Karbasi, Mirrokni, Woodruff, Zandieh 2023, HyperAttention: "
        "Long-context Attention in Near-Linear Time",
        budgets="1/2 in fp8, 1 in fp16, 2 in fp32: it saves time, not memory",
        params={
            "block": "keys of a block (32)",
            "samples": "uniform draws for the rest (32)",
            "projections": "signs of a hash (7)",
            "dtype": "fp32, fp16, bf16 or fp8 (the widest in the budget; fp16 without one)",
        },
        assumes="large scores hash alike, and the rest is flat",
        broken_by="a part of the query that no key has: same scores, another bucket",
        settings=tuple({"block": b, "samples": b} for b in (8, 16, 32, 64, 128, 256)),
    ),
    CatalogEntry(
        name="reformer",
        module="zoo.sketch.reformer",
        cls="Reformer",
        summary="every token; a query reads the keys in its bucket of some angular hash",
        source="Kitaev, Kaiser, Levskaya 2020, Reformer: The Efficient Transformer",
        budgets="1/2 in fp8, 1 in fp16, 2 in fp32: it saves time, not memory",
        params={
            "rounds": "independent hashes (4)",
            "buckets": "of each hash, even (16)",
            "dtype": "fp32, fp16, bf16 or fp8 (the widest in the budget; fp16 without one)",
        },
        assumes="a query attends to keys in its own direction",
        broken_by="a part of the query that no key has: same scores, another bucket",
        settings=tuple({"rounds": r} for r in (1, 2, 4, 8, 16, 32)),
    ),
    CatalogEntry(
        name="knn-attention",
        module="zoo.sketch.knn_attention",
        cls="KNNAttention",
        summary="every token; a query reads the k nearest keys and a weighted sample of the rest",
        source="Haris 2024, kNN Attention Demystified: A Theoretical Exploration for Scalable "
        "Transformers",
        budgets="1/2 in fp8, 1 in fp16, 2 in fp32: it saves time, not memory",
        params={
            "k": "nearest keys (8)",
            "samples": "of the others (32)",
            "dtype": "fp32, fp16, bf16 or fp8 (the widest in the budget; fp16 without one)",
        },
        assumes="a few large scores and a flat rest",
        broken_by="nothing: it keeps all, and few keys answer the hard stream",
        settings=tuple({"k": k, "samples": 4 * k} for k in (1, 2, 4, 8, 16, 32)),
    ),
    CatalogEntry(
        name="algorithm-2",
        module="zoo.sketch.algorithm_2",
        cls="Algorithm2",
        summary="every token; the mean of values drawn from the softmax by lazy Gumbel sampling",
        source="Haris & Onak 2025, Algorithm 2 (reconstructed); Mussmann, Levy, Ermon 2017",
        budgets="1/2 in fp8, 1 in fp16, 2 in fp32: it saves time, not memory",
        params={
            "draws": "values in the mean (16)",
            "k": "size of the top set (the square root of the number of tokens)",
            "dtype": "fp32, fp16, bf16 or fp8 (the widest in the budget; fp16 without one)",
        },
        assumes="nothing: its draws are exact for every stream",
        broken_by="nothing: it keeps all; few draws err where the softmax is not one token's",
        settings=tuple({"draws": m} for m in (1, 2, 4, 8, 16, 32)),
    ),
    CatalogEntry(
        name="performer",
        module="zoo.sketch.performer",
        cls="Performer",
        summary="sums of m positive random features of the keys, with their values",
        source="Choromanski et al. 2020, Rethinking Attention with Performers",
        budgets="any: as many features as fit, in fp32",
        params={"m": "features (what the budget holds; d log d without one)"},
        assumes="small scores: the variance grows with e^|q+k|^2",
        broken_by="large scores on near-orthogonal keys with independent values",
    ),
    CatalogEntry(
        name="linear-attention",
        module="zoo.sketch.linear_attention",
        cls="LinearAttention",
        summary="sums of elu(k) + 1, d_k features, with their values",
        source="Katharopoulos et al. 2020, Transformers are RNNs: Fast Autoregressive Transformers "
        "with Linear Attention",
        budgets="from d_k (d_v + 1) + 1 numbers in fp32, whatever the number of tokens",
        assumes="a model trained with this attention; at most d_k directions to tell apart",
        broken_by="softmax scores, and more independent values than features",
    ),
    CatalogEntry(
        name="linformer",
        module="zoo.sketch.linformer",
        cls="Linformer",
        summary="k public random projections of all keys and of all values",
        source="Wang et al. 2020, Linformer: Self-Attention with Linear Complexity",
        budgets="any: as many rows in fp32 as fit",
        params={
            "k": "rows (what the budget holds; a quarter of the tokens without one)",
            "projection": "gaussian, or pool for means of successive tokens (gaussian)",
            "shared": "one projection for keys and values (False)",
        },
        assumes="an attention matrix of low rank, and projections trained for it",
        broken_by="near-orthogonal keys: an attention matrix of full rank",
    ),
)
