"""The model families that the carrier can be, as far as a cache can tell them apart.

A cache sees keys and values by layer and KV head, their width, and which layers slide. It does not
see how a model makes them, but a press does, and so does who asks: the norms and scales below stand
between the hidden state and the cache, and ``carrier`` neutralises them.

| family | class of transformers | between the hidden state and the scores |
|---|---|---|
| plain | Llama | one query head for each KV head, heads of any even width |
| llama, mistral, qwen2 | their own | grouped queries |
| qwen3 | Qwen3 | an RMSNorm on each query and each key |
| gemma2 | Gemma2 | RMSNorms that multiply by 1 + w; 1/sqrt(s) of its own; scores s -> c tanh(s/c) |
| gemma3 | Gemma3 | the same norms, also on queries and keys; its own scale; no cap |

Groups, widths and windows are those of published models: Llama 3 8B, Mistral 7B, Qwen2.5 7B,
Qwen3 8B, Gemma 2 9B and 27B, Gemma 3 4B and 27B.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....errors import BadInput, did_you_mean
from ....reductions.rounding import CAPPED, EAGER, SPLIT, Arithmetic
from ...plugin.contract import Shape

FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        base: before ``ForCausalLM`` in transformers' names.
        groups: query heads that share one KV head.
        scales: width of a head -> s, where the model divides scores by sqrt(s); empty: any width,
            and s is the width.
        window: tokens that a layer which slides attends to, the newest one included; None: the
            published models have no such layers.
        every: each ``every``-th layer attends to all tokens and the others slide; 0: all slide.
        mixes: whether layers of both kinds may stand in one model.
        cap: c of scores c tanh(s/c); None: there is none.
        shift: what its RMSNorm adds to its weights before it multiplies by them.
        eager: whether only eager attention knows what it does.
        by_kind: whether its rotary embedding is configured for each kind of layer.
    """

    base: str
    groups: int = 1
    scales: Mapping[int, float] = field(default_factory=dict)
    window: int | None = None
    every: int = 1
    mixes: bool = False
    cap: float | None = None
    shift: float = 0.0
    eager: bool = False
    by_kind: bool = False

    def windows(self, shape: Shape) -> tuple[int | None, ...]:
        """The window of each layer, None where it attends to all tokens.

        The stream says it (``shape.windows``); if it does not, the published model does.
        """
        if shape.windows is not None:
            return shape.windows
        return tuple(
            None if self.every and (layer + 1) % self.every == 0 else self.window
            for layer in range(shape.layers)
        )


FAMILIES: Mapping[str, Family] = {
    "plain": Family("Llama"),
    "llama": Family("Llama", 4, {64: 64, 128: 128}),
    "mistral": Family("Mistral", 4, {128: 128}, window=4096, every=0),
    "qwen2": Family("Qwen2", 7, {64: 64, 128: 128}, mixes=True),
    "qwen3": Family("Qwen3", 4, {128: 128}, mixes=True),
    "gemma2": Family(
        "Gemma2", 2, {128: 144, 256: 256}, window=4096, every=2, mixes=True, cap=50.0, shift=1.0,
        eager=True,
    ),
    "gemma3": Family(
        "Gemma3", 2, {128: 168, 256: 256}, window=1024, every=6, mixes=True, shift=1.0,
        by_kind=True,
    ),
}  # fmt: skip


def arithmetic(params: Mapping[str, Any]) -> Arithmetic:
    """How a carrier with these parameters of a target computes, as ``reductions.rounding`` asks.

    sdpa is taken for its kernel that rounds most. In fp16 a norm that multiplies in the type leaves
    multiples of 2^-14 (``carrier``).
    """
    family, dtype = FAMILIES[params.get("model", "plain")], params.get("dtype", "bf16")
    roundings = EAGER if params.get("attention") == "eager" else SPLIT
    grain = 2.0**-14 if dtype == "fp16" and not family.shift else 0.0
    return Arithmetic(dtype, CAPPED if family.cap else roundings, family.cap, grain)


def family_for(name: str, shape: Shape) -> Family:
    """The family of that name, if it can carry the stream.

    Raises:
        BadInput: there is no such family, or its heads or layers are not the stream's.
    """
    if name not in FAMILIES:
        hint = did_you_mean(str(name), FAMILIES)
        raise BadInput(
            f"There is no model '{name}'.{hint} The carrier can be {', '.join(FAMILIES)}."
        )
    family, width = FAMILIES[name], max(shape.d_k, shape.d_v)
    if family.scales and width not in family.scales:
        known = " or ".join(map(str, family.scales))
        raise BadInput(
            f"The heads of {name} have {known} numbers, and those of this stream {width}: use "
            f"--d {known}, or model=plain."
        )
    windows = shape.windows or ()
    slide, sizes = [w is not None for w in windows], {w for w in windows if w is not None}
    if len(sizes) > 1:
        raise BadInput(f"Layers that slide have one window in {name}, not {sorted(sizes)}.")
    if any(slide) and not (family.mixes or (family.window is not None and all(slide))):
        have = "layers that all slide" if family.window is not None else "no layers that slide"
        mixing = ", ".join(one for one, its in FAMILIES.items() if its.mixes)
        raise BadInput(
            f"{name} has {have}, and this stream has {sum(slide)} of {len(slide)} layers that "
            f"slide: use model={mixing}."
        )
    return family
