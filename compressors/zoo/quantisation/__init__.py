"""Quantisation: every token, at a few bits a number."""

from __future__ import annotations

from ...catalog_entry import CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        name="kivi",
        module="zoo.quantisation.kivi",
        cls="Kivi",
        summary="keys at a few bits per channel, values per token, the newest tokens whole",
        source="Liu et al. 2024, KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache",
        budgets="at n = 1024, d = 64 from about 5/32 (1 bit) to 1 (16 bits)",
        params={
            "bits": "16, 8, 4, 2 or 1 a number (the most in the budget; free: 2)",
            "group": "tokens, or channels, that share a scale (32)",
            "residual": "newest tokens in fp16 (128, or with a budget as many as leave room)",
        },
        assumes="a key's channels have sizes of their own, a value's do not",
        broken_by="a turned basis, where no channel stands out and values are not two-valued",
        settings=tuple({"bits": b} for b in (1, 2, 4, 8, 16)),
    ),
    CatalogEntry(
        name="skvq",
        module="zoo.quantisation.skvq",
        cls="SKVQ",
        summary="every token at a few bits, in clipped groups of like channels; the first and the "
        "newest tokens in fp16",
        source="Duanmu et al. 2024, SKVQ: Sliding-window Key and Value Cache Quantization for "
        "Large Language Models",
        budgets="at n = 1024, d = 64 from about 3/16 (1.5 bits a number) to 1 (a window of all)",
        params={
            "k_bits": "8, 4, 3, 2 or 1.5 a number of a key (the most in the budget; free: 2)",
            "v_bits": "likewise, of a value",
            "group": "channels that share a scale, on average (32)",
            "window": "newest tokens in fp16 (what the budget holds; free: 128)",
            "sinks": "first tokens in fp16 (5)",
            "clip": "one clip factor (fitted to each group)",
            "meta": "of scales and zeros, fp8 or fp16 (fp8)",
        },
        assumes="channels that keep their range, so that like ones can share a scale",
        broken_by="channels that are all alike: there is nothing to sort",
        settings=tuple(
            {"k_bits": k, "v_bits": v, "window": 32}
            for k, v in ((1.5, 1.5), (2, 1.5), (2, 2), (3, 3), (4, 4), (8, 8))
        ),
    ),
    CatalogEntry(
        name="leankv",
        module="zoo.quantisation.leankv",
        cls="LeanKV",
        summary="what the last queries attend to at 8 and 4 bits, less at 4 and 2, the rest not "
        "at all",
        source="Zhang et al. 2024, Unifying KV Cache Compression for Large Language Models with "
        "LeanKV",
        budgets="any; above 13/32 at d = 64 it has no use for more",
        params={
            "high": "bits of keys and values of significant tokens (K8V4)",
            "low": "of others (K4V2)",
            "alpha_high": "significance from which high is due, times n (free: 1)",
            "alpha_low": "below which a token is pruned, times n (free: 0.02)",
            "window": "newest tokens in high (64, or what half of the budget holds)",
        },
        assumes="the last queries of a prompt attend to what will be asked",
        broken_by="a question about what the last queries did not look at",
    ),
    CatalogEntry(
        name="cachegen",
        module="zoo.quantisation.cachegen",
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
    CatalogEntry(
        name="qjl",
        module="zoo.quantisation.qjl",
        cls="QJL",
        summary="the signs of a random sketch of each key and its length; values at a few bits",
        source="Zandieh, Daliri, Han 2024, QJL: 1-Bit Quantized JL Transform for KV Cache "
        "Quantization with Zero Overhead",
        budgets="from about 1/16: the values at 1 bit, and 8 projections",
        params={
            "m": "projections of a key (what the budget holds; free: 4 d_k)",
            "value_bits": "1, 2, 4 or 8 a number of a value (2, or what leaves 4 d_k projections)",
        },
        assumes="scores of a few nats: their error grows with |q| |k|/sqrt(m)",
        broken_by="a long query, on keys that few projections do not tell apart",
        settings=tuple({"m": m} for m in (32, 64, 128, 256, 512, 1024)),
    ),
    CatalogEntry(
        name="turboquant",
        module="zoo.quantisation.turboquant",
        cls="TurboQuant",
        summary="every token turned at random, and a few bits a coordinate by one codebook",
        source="Zandieh, Daliri, Hadian, Mirrokni 2025, TurboQuant: Online Vector Quantization "
        "with Near-optimal Distortion Rate",
        budgets="at d = 64 from 7/64 (1 bit a number) to 35/64 (8 bits)",
        params={"bits": "1 to 6 or 8 a number (the most in the budget; free: 4)"},
        assumes="nothing about the data: the rotation makes every row the same",
        broken_by="fewer bits than a bit of the secret needs: an error of |v|^2 D_b a value",
        settings=tuple({"bits": b} for b in (1, 2, 3, 4, 5, 6, 8)),
    ),
    CatalogEntry(
        name="polarquant",
        module="zoo.quantisation.polarquant",
        cls="PolarQuant",
        summary="every token turned at random and written in angles, a few bits each, and radii",
        source="Han, Kacham, Karbasi, Mirrokni, Zandieh 2025, PolarQuant: Quantizing KV Caches "
        "with Polar Transformation",
        budgets="at d = 64 from 5/32 (2 and 1 bits an angle) to 3/8 (6 and 4)",
        params={
            "first": "bits of an angle of level 1 (4, or the most in the budget)",
            "others": "bits of an angle of levels 2 to 4 (2, likewise)",
        },
        assumes="nothing about the data: the rotation gives angles a known law",
        broken_by="fewer bits than a bit of the secret needs",
        settings=tuple(
            {"first": first, "others": others}
            for first, others in ((2, 1), (3, 1), (3, 2), (4, 2), (5, 3), (6, 4))
        ),
    ),
)
