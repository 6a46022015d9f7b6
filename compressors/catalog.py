"""What ships with kvbarrier: the baselines, and the controls whose results are known beforehand.

Only names and words here; a compressor's module is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..errors import BadInput, did_you_mean
from .contract import Compressor


@dataclass(frozen=True)
class CatalogEntry:
    """One compressor that ships with us.

    Attributes:
        name: as on the command line.
        module, cls: where it is, in this package.
        summary: what it keeps, in a line.
        source: who it is by, or what it controls.
        params: its parameters, each with its meaning (and its default).
        budgets: which budgets make sense for it.
        attention: the rule that it answers: "softmax", "unmasked-window" or "tensor", or "any" for
            who knows no tokens but bits.
        knows_keys: it reads the game's public keys.
        control: its result is known beforehand, so it tests the game and not itself.
    """

    name: str
    module: str
    cls: str
    summary: str
    source: str
    budgets: str
    params: Mapping[str, str] = field(default_factory=dict)
    attention: str = "softmax"
    knows_keys: bool = False
    control: bool = False

    def load(self) -> type[Compressor]:
        """Import its class."""
        module = importlib.import_module(f".{self.module}", __package__)
        return cast(type[Compressor], getattr(module, self.cls))

    def check_rule(self, public: Mapping[str, Any]) -> None:
        """Raise BadInput if the game that made ``public`` holds answers to another rule."""
        asked = public.get("attention")
        plays = _PLAYED_BY.get(self.attention)
        if asked is None or plays is None or asked in plays:
            return
        *others, last = (name for rule in plays for name in REDUCTIONS_OF[rule])
        where = f"{', '.join(others)} or {last}" if others else last
        raise BadInput(
            f"{self.name} answers {_RULES[self.attention]}, and this game holds answers to "
            f"{_RULES.get(asked, asked)}: attack it with --reduction {where}."
        )


_RULES = {
    "softmax": "softmax attention",
    "unmasked-window": "the unmasked sliding window",
    "tensor": "tensor attention",
}
REDUCTIONS_OF = {
    "softmax": ("index", "visual"),
    "unmasked-window": ("sliding-window",),
    "tensor": ("tensor",),
}
# Outside the window that reduction has zero tokens, of weight 1 under both rules.
_PLAYED_BY = {
    "softmax": ("softmax", "unmasked-window"),
    "unmasked-window": ("unmasked-window",),
    "tensor": ("tensor",),
}

_EVICTS = "any: fp16 tokens as many as fit"
_DTYPE = "fp32, fp16, bf16 or fp8 (fp16)"

_ENTRIES = (
    CatalogEntry(
        name="exact",
        module="exact",
        cls="Exact",
        summary="the whole cache, exact attention",
        source="the definition (Haris & Onak 2025, eq. 1-2)",
        budgets="1/2 in fp8, 1 in fp16, 2 in fp32",
        params={"dtype": "fp32, fp16, bf16 or fp8 (the widest in the budget)"},
    ),
    CatalogEntry(
        name="sliding-window",
        module="sliding_window",
        cls="SlidingWindow",
        summary="the last tokens",
        source="Beltagy, Peters, Cohan 2020, Longformer",
        budgets=_EVICTS,
        params={"window": "tokens kept (what the budget holds)", "dtype": _DTYPE},
    ),
    CatalogEntry(
        name="streaming-llm",
        module="streaming_llm",
        cls="StreamingLLM",
        summary="the first few tokens, the attention sinks, and the last ones",
        source="Xiao et al. 2024, Efficient Streaming Language Models with Attention Sinks",
        budgets=_EVICTS,
        params={
            "sinks": "first tokens that stay (4)",
            "window": "last tokens kept (what the budget holds)",
            "dtype": _DTYPE,
        },
    ),
    CatalogEntry(
        name="reservoir",
        module="reservoir",
        cls="Reservoir",
        summary="a uniform random sample of the tokens, by public coins",
        source="Vitter 1985, Random Sampling with a Reservoir",
        budgets=_EVICTS,
        params={"size": "tokens kept (what the budget holds)", "dtype": _DTYPE},
    ),
    CatalogEntry(
        name="quantized",
        module="quantized",
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
        module="topk_attention",
        cls="TopKAttention",
        summary="the last tokens, of which each query attends to its k highest scores",
        source="an algorithm built on sparsity, as in Haris & Onak 2025, Corollary 16",
        budgets=_EVICTS,
        params={
            "k": "scores that count, with ties at the k-th (8)",
            "window": "tokens kept (what the budget holds)",
            "dtype": _DTYPE,
        },
    ),
    CatalogEntry(
        name="running-sum",
        module="running_sum",
        cls="RunningSum",
        summary="the last W tokens and the sum of all older values",
        source="ours: exact for the unmasked sliding window of Haris & Onak 2025, eq. 20",
        budgets=_EVICTS + ", beside the sum",
        attention="unmasked-window",
        params={"window": "tokens kept (the rule's, or what the budget holds)", "dtype": _DTYPE},
    ),
    CatalogEntry(
        name="algorithm-1",
        module="algorithm_1",
        cls="Algorithm1",
        summary="the last W tokens and sampled older values; it answers with drawn values",
        source="Haris & Onak 2025, Algorithm 1 and Theorem 25 (reconstructed)",
        budgets=_EVICTS + ", beside the samples",
        attention="unmasked-window",
        params={
            "window": "tokens kept (the rule's, or what the budget holds)",
            "copies": "samples in a mean (1)",
            "means": "means whose median is the answer (1)",
            "dtype": _DTYPE,
        },
    ),
    CatalogEntry(
        name="subgen",
        module="subgen",
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
        module="tensor_caches",
        cls="FourCache",
        summary="tensor attention's factors K1, K2, V1, V2 of every token",
        source="Chen, Li, Liang, Shi, Song, Tian 2025, arXiv 2503.11108 (as we reconstruct it)",
        budgets="1/2 in fp8, 1 in fp16, 2 in fp32",
        attention="tensor",
        params={"dtype": "fp32, fp16, bf16 or fp8 (the widest in the budget)"},
    ),
    CatalogEntry(
        name="two-cache",
        module="tensor_caches",
        cls="TwoCache",
        summary="tensor attention's products of all n^2 pairs of tokens, beside the factors",
        source="Chen, Li, Liang, Shi, Song, Tian 2025, arXiv 2503.11108 (as we reconstruct it)",
        budgets="free: 1 + n/2 times four-cache, so for small n",
        attention="tensor",
        params={"dtype": "fp32, fp16, bf16 or fp8 (the widest in the budget)"},
    ),
    CatalogEntry(
        name="lossless",
        module="lossless",
        cls="Lossless",
        summary="every secret bit, and nothing else: no error at charged bits = secret bits",
        source="control: the least memory of any errorless compressor (theory: H(x) = n d)",
        budgets="1/32 at d_k = d_v: one bit of memory a secret bit",
        knows_keys=True,
        attention="any",
        control=True,
    ),
    CatalogEntry(
        name="zero",
        module="zero",
        cls="Zero",
        summary="the empty message, every answer 0",
        source="control: no memory, half of the bits wrong",
        budgets="any",
        attention="any",
        control=True,
    ),
    CatalogEntry(
        name="time-sharing",
        module="time_sharing",
        cls="TimeSharing",
        summary="as many secret bits as the budget has, the first ones, and coins for the rest",
        source="control: the line error = (1 - memory / secret bits) / 2",
        budgets="up to 1/32 at d_k = d_v, where it becomes lossless",
        knows_keys=True,
        attention="any",
        control=True,
    ),
    CatalogEntry(
        name="covering-code",
        module="covering_code",
        cls="CoveringCode",
        summary="the nearest codeword of a perfect code: less error than time sharing",
        source="Shannon 1959 (rate distortion); Hamming 1950, Golay 1949",
        budgets="12/23 (golay) or 4/7 (hamming) of what lossless needs",
        params={"code": "golay, [23,12] with error .1240, or hamming, [7,4] with 1/8 (golay)"},
        knows_keys=True,
        attention="any",
        control=True,
    ),
)

CATALOG: Mapping[str, CatalogEntry] = {one.name: one for one in _ENTRIES}


def names() -> list[str]:
    """All names, in the order of the catalog."""
    return list(CATALOG)


def entry(name: str) -> CatalogEntry:
    """The entry of a name.

    Raises:
        BadInput: there is none; did you mean.
    """
    if name not in CATALOG:
        raise BadInput(f"there is no compressor '{name}'.{did_you_mean(name, CATALOG)}")
    return CATALOG[name]


def describe() -> list[dict[str, object]]:
    """The catalog for ``kvbarrier list``: plain data, one row a compressor."""
    return [
        {
            "name": one.name,
            "keeps": one.summary,
            "source": one.source,
            "budgets": one.budgets,
            "parameters": "; ".join(f"{name}: {text}" for name, text in one.params.items()) or None,
            "attention": one.attention,
            "knows_keys": one.knows_keys,
        }
        for one in _ENTRIES
    ]
