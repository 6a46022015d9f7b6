"""The numbers of every head come back in that head's own scale.

*Law.* As for blocks of channels (``structure``, with the proof in ``blocks``): every token of every
layer and head has a gain of its own, from 1/10 to 10, public as all is. Each (l, h) is asked with
its own keys, and its d_v numbers are fitted, read = r truth + b. Rounding is centred, so it leaves
r near 1, whatever shares a step. A head that is right in shape and has r outside [2/3, 3/2] was
multiplied by the scale of another.

*One door and another.* A fresh instance that restores the message answers alike in every head
(``same`` says so of one head, where no axis can be exchanged).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ....compressors.plugin.contract import Shape
from ...evidence.places import named
from ..bench import EXTRA, Bench, D, Stream, tight_scale, unit_keys
from ..fault import Fault, whole
from .blocks import fitted

TOKENS, LAYERS, HEADS = 24, 3, 2
FINE = 1e-5
MATCHES, NEAR, FEW = 0.7, 0.06, 0.25
TOLERANCE = 1e-2


def law(bench: Bench) -> Iterator[Fault]:
    """Three layers of two heads, each token of each with its own gain."""
    if not bench.is_softmax:
        return
    rng = np.random.default_rng(12)
    wide = (TOKENS, LAYERS, HEADS)
    gains = 10.0 ** rng.uniform(-1, 1, (*wide, 1))
    values = (gains * rng.standard_normal((*wide, D))).astype(np.float32)
    alone = unit_keys(TOKENS)
    keys = np.broadcast_to(alone[:, None, None], (*wide, D)).copy()
    one = Stream(keys, values, tight_scale(TOKENS, interference=FINE))
    compressor = bench.fed(one, Shape(TOKENS, D, D, EXTRA, LAYERS, HEADS, HEADS))
    questions = one.questions(range(TOKENS))
    read, again = (
        bench.answers(each, questions, D) for each in (compressor, bench.copy(compressor))
    )
    away = np.abs(again - read).max(axis=-1) > TOLERANCE * np.abs(values).max(axis=-1)
    moved = [(int(l), int(h)) for l, h in np.argwhere(away.any(axis=0))]
    if moved:
        yield Fault(
            "restore-differs",
            f"with {LAYERS} layers and {HEADS} heads a fresh instance that restored the message "
            "answers differently in "
            + ", ".join(f"layer {l} head {h}" for l, h in moved) + ".",
            tokens=whole(np.flatnonzero(away.any(axis=(1, 2)))),
            heads=whole(h for _, h in moved),
            layers=whole(l for l, _ in moved),
            operation="restore",
            reproduction=(f"append {TOKENS} tokens of {LAYERS} layers and {HEADS} heads",
                          "save, restore", f"ask layer {moved[0][0]}, head {moved[0][1]}"),
        )  # fmt: skip
    fits = np.array([
        [fitted(values[:, l, h], read[:, l, h], D) for h in range(HEADS)] for l in range(LAYERS)
    ])  # fmt: skip
    flags = np.array([[fit.rescaled[:, 0] for fit in row] for row in fits])
    hit = [(int(l), int(h)) for l, h in np.argwhere(flags.mean(axis=2) > FEW)]
    if not hit:
        return
    used = np.array([[fit.scale[:, 0] for fit in row] for row in fits])
    said = "; ".join(_whose(values, used[l, h], flags[l, h], l, h) for l, h in hit)
    tokens = whole(np.flatnonzero(flags.any(axis=(0, 1))))
    yield Fault(
        "wrong-scale",
        f"with {LAYERS} layers, {HEADS} heads and a gain for each token of each: {said}.",
        tokens=tokens,
        heads=whole(h for _, h in hit),
        layers=whole(l for l, _ in hit),
        operation="attend",
        reproduction=(f"append {TOKENS} tokens of {LAYERS} layers and {HEADS} heads, with gains",
                      f"ask layer {hit[0][0]}, head {hit[0][1]} for token "
                      f"{np.flatnonzero(flags[hit[0]])[0]}"),
    )  # fmt: skip


def _whose(
    values: NDArray[np.float32], used: NDArray[np.float64], flags: NDArray[np.bool_], l: int, h: int
) -> str:
    """Whose scale this head has, in words: of another head's tokens the largest number fits."""
    most = np.abs(values).max(axis=3)
    text = f"layer {l}, {named('head', [h])}: {flags.sum()} of {len(flags)} tokens"
    for other in np.ndindex(*most.shape[1:]):
        ratio = used * most[:, l, h] / most[(slice(None), *other)]
        if other != (l, h) and (np.abs(np.log(np.abs(ratio[flags]))) < NEAR).mean() > MATCHES:
            return f"{text} come back in the scale of layer {other[0]}, head {other[1]}"
    return f"{text} come back right in shape and wrong in scale"
