"""Every head of every layer against its own truth.

*Law.* Layers and heads are separate attentions: for the query q of layer l and head h the answer
is that of the keys and values of (l, h) alone. Each (l, h) has keys and secret bits of its own,
so who answers with another head's bits is told from who loses them: d_v n bits agree with those
of (l', h') where chance agrees with half.

With more query heads than KV heads (grouped queries) the contract is the usual one: q is [layers,
heads, d_k], k and v are [layers, kv_heads, d], the answer is [layers, heads, d_v], and query head
h reads KV head h // (heads // kv_heads). A class is given such a shape if it looked at
``shape.heads`` while it was built; one that did not is judged only if each of its query heads
answers with the bits of some KV head, so that it does know what to do.

A class for one head is built once a head (``plugin.lifting``): nothing of its own could mix them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ....compressors.plugin.answers import given
from ....compressors.plugin.contract import Compressor, Float32, Shape
from ...evidence.places import named
from ..bench import EXTRA, Bench, D, tight_scale, two_valued, unit_keys
from ..fault import Fault, whole
from . import head_scales

TITLE = "each head against its own truth"
TOKENS = 24
AGREES = 0.98


@dataclass(frozen=True)
class _Watched(Shape):
    """A shape that notes whether anybody looks at the number of its query heads."""

    def __getattribute__(self, name: str) -> object:
        if name == "heads":
            object.__setattr__(self, "_looked", True)
        return object.__getattribute__(self, name)


def law(bench: Bench) -> Iterator[Fault]:
    """Several layers and heads, then grouped queries, then scales (``head_scales``)."""
    if not bench.whole_tokens:
        bench.skipped = "one head at a time"
        return
    for shape in ((1, 4, 4), (3, 2, 2), (2, 4, 2)):
        for own_keys in (False, True):
            found = list(_played(bench, *shape, own_keys))
            if found:
                yield from found
                return
    yield from head_scales.law(bench)


def _played(
    bench: Bench, layers: int, heads: int, kv_heads: int, own_keys: bool
) -> Iterator[Fault]:
    shape = _Watched(TOKENS, D, D, EXTRA, layers, heads, kv_heads)
    count = layers * kv_heads
    seeds = [10 + i * own_keys for i in range(count)]
    keys = np.stack([unit_keys(TOKENS, D, seed) for seed in seeds], axis=1)
    scale = max(tight_scale(TOKENS, D, seed) for seed in seeds)
    bits = np.stack([two_valued(TOKENS, D, 10 + i) for i in range(layers * kv_heads)], axis=1)
    bits[:, :, 0] = np.random.default_rng(9).integers(0, 2, bits.shape[:2])
    K, V = (a.reshape(TOKENS, layers, kv_heads, D) for a in (keys, bits))
    group = heads // kv_heads
    Q = np.repeat(np.float32(scale) * K, group, axis=2)
    zero = np.zeros_like(Q)
    grouped = heads != kv_heads
    try:
        compressor = bench.build(shape)
        if compressor.streaming:
            for triple in zip(zero, K, V, strict=True):
                compressor.append(*triple)
        else:
            compressor.extend(zero, K, V)
        looked = bool(getattr(shape, "_looked", False))
        answers = np.stack([
            np.array(given(compressor, "attend", compressor.attend(q), (layers, heads, D)))
            for q in Q
        ])  # fmt: skip
    except Exception:
        if grouped:
            bench.untried.append("more query heads than KV heads (it does not take them)")
            return
        raise
    agree = _agreement(answers > 0.5, V > 0.5)
    answered = agree.reshape(layers, heads, -1).max(axis=2)
    if grouped and not looked and (answered < AGREES).any():
        bench.untried.append("more query heads than KV heads (it never looks at shape.heads)")
        return
    for fault in _judged(agree, layers, heads, kv_heads):
        if fault.code == "lost-head":
            fault = replace(fault, detail=fault.detail + _whose_keys(compressor, fault, V, Q))
        yield fault


def _whose_keys(compressor: Compressor, fault: Fault, V: Float32, Q: Float32) -> str:
    """Whose keys the first lost head answers to with its own values, in words; "" if nobody's."""
    layer, head = min(fault.layers or (0,)), min(fault.heads or (0,))
    own = V[:, layer, head // (Q.shape[2] // V.shape[2])] > 0.5
    for other in np.ndindex(*Q.shape[1:3]):
        asked = Q.copy()
        asked[:, layer, head] = Q[:, other[0], other[1]]
        said = np.stack([np.asarray(compressor.attend(q))[layer, head] for q in asked]) > 0.5
        if other != (layer, head) and (said == own).mean() >= AGREES:
            where = f"layer {other[0]}, head {other[1]}" if Q.shape[1] > 1 else f"head {other[1]}"
            return f" Head {head} answers with its own values to the keys of {where}."
    return ""


def _agreement(said: NDArray[np.bool_], bits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[layers, heads, layers, kv_heads]: the share of bits that agree."""
    n = said.shape[0] * said.shape[-1]
    a, b = (np.moveaxis(x, 0, 2).reshape(*x.shape[1:3], n) * 2.0 - 1 for x in (said, bits))
    product: NDArray[np.float64] = np.einsum("lhx,mkx->lhmk", a, b) / n
    return (1 + product) / 2


def _judged(agree: NDArray[np.float64], layers: int, heads: int, kv_heads: int) -> Iterator[Fault]:
    group = heads // kv_heads
    wrong: dict[tuple[int, int], list[tuple[int, int]]] = {}
    lost = []
    for layer, head in np.ndindex(layers, heads):
        own = (layer, head // group)
        if agree[(layer, head, *own)] >= AGREES:
            continue
        at = np.unravel_index(int(agree[layer, head].argmax()), agree.shape[2:])
        best = (int(at[0]), int(at[1]))
        if best != own and agree[(layer, head, *best)] >= AGREES:
            wrong.setdefault(best, []).append((layer, head))
        elif agree[(layer, head, *own)] < 0.75:
            lost.append((layer, head))
    what = "query head" if heads != kv_heads else "head"
    of = f"with {layers} layer{'s' * (layers > 1)}, {heads} {what}s" + (
        f" and {kv_heads} KV heads" if heads != kv_heads else ""
    )
    if wrong:
        hit = sorted(place for group_of in wrong.values() for place in group_of)
        sources: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for best, places in sorted(wrong.items()):
            crossed = any(place[0] != best[0] for place in places)
            sources.setdefault((best[0] if crossed else -1, best[1]), []).extend(places)
        text = "; ".join(
            _reads(what, source, places, "KV " * (heads != kv_heads))
            for source, places in sources.items()
        )
        yield _fault("wrong-head", f"{of}, in every token: {text}.", hit, layers, heads)
    if lost:
        text = f"{named(what, [h for _, h in lost])} of {named('layer', [l for l, _ in lost])}"
        yield _fault(
            "lost-head",
            f"{of}: {text} read wrong in "
            f"{1 - min(agree[l, h, l, h // group] for l, h in lost):.0%} of "
            "the bits, and are no other head's.",
            lost, layers, heads,
        )  # fmt: skip


def _reads(what: str, source: tuple[int, int], places: list[tuple[int, int]], kv: str) -> str:
    """The heads that read one other head, in words; ``source`` has layer -1 for their own."""
    numbers = sorted({h for _, h in places})
    verb = "answer" if len(numbers) > 1 else "answers"
    if source[0] < 0:
        return f"{named(what, numbers)} {verb} with {kv}head {source[1]}'s values"
    layers = sorted({l for l, _ in places})
    return (
        f"{named(what, numbers)} of {named('layer', layers)} {verb} with the values of layer "
        f"{source[0]}, {kv}head {source[1]}"
    )


def _fault(code: str, text: str, hit: list[tuple[int, int]], layers: int, heads: int) -> Fault:
    return Fault(
        code, text,
        heads=whole(h for _, h in hit),
        layers=whole(l for l, _ in hit) if layers > 1 else (0,),
        operation="attend",
        reproduction=(f"append {TOKENS} tokens of {layers} layers and {heads} heads",
                      f"ask layer {hit[0][0]}, head {hit[0][1]} for token 0"),
    )  # fmt: skip
