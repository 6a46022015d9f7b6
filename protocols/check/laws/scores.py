"""What is attended to answers to its own key.

*Law.* At q = 0 every row that a cache holds has the same weight; at q = C k_t, C tight, token t
has all but 1/64 of it. Weights are read directly (``bench.weights``), with values that are
Hadamard rows, so values have no part in this. A token that has weight at q = 0 and none at its
own key is held with another key than the one appended: <q,k> is computed with something else.

A lossy cache may do this honestly, if its keys are coarse. Then something was saved by it. The law
counts it as a fault if nothing was:

* *paid*: the message has at least 8 bits for each number of each row attended to. Rounding to 8
bits
  moves a score C<k,k'> by at most C sqrt(d) |k|_max / 255, here below 1/10;
* *at once*: the tokens answered to their keys one append earlier, and the message has no fewer
bits for
  each row attended to than before, so that this append compressed nothing, and yet lost their keys.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ....compressors.plugin.contract import Float32
from ...evidence.places import named
from ..bench import Bench, D, Stream, attended
from ..fault import Fault, whole
from . import values
from .growth import Growth, grown

TITLE = "tokens answer to their own keys"
PAID = 8.0
OTHERS = {"wrong-place", "channel-lost", "comes-back", "foreign-mass", "wrong-offset"}


def law(bench: Bench) -> Iterator[Fault]:
    """The lengths at which tokens are newly lost."""
    if bench.found & OTHERS or not bench.is_softmax:
        return  # weights are read through values
    growth = grown(bench)
    from .returns import came_back

    for n in _candidates(growth):
        if came_back(growth, n):
            continue  # another law's
        found = _look(bench, growth, n)
        if found is not None:
            yield found
            return
    yield from values.law(bench)


def _candidates(growth: Growth) -> list[int]:
    """At most four lengths: those at which the most tokens are lost that were right before."""
    fresh = {}
    lengths = growth.lengths
    for before, n in zip([None, *lengths], lengths, strict=False):
        lost = growth.lost(n)
        old = set(growth.held(before)) if before is not None else set()
        fresh[n] = len([t for t in lost if t in old or before is None or t >= (before or 0)])
    hit = [n for n in lengths if fresh[n]]
    return sorted(sorted(hit, key=lambda n: -fresh[n])[:4])


def _look(bench: Bench, growth: Growth, n: int) -> Fault | None:
    one = growth.stream.first(n)
    shape = bench.shape(len(growth.stream) if bench.streaming else n)
    (level,) = bench.weights(one, np.zeros((1, D), np.float32), shape)
    rows = attended(level)
    if not _is_softmax(level, rows):
        return None
    mute, others = _mute(bench, one, shape, rows)
    if not mute:
        return None
    each = _bits(bench, one, shape) / max(1, len(rows) * 2 * D)
    share = f"1/{1 / level[mute[0]]:.0f}"
    text = f"after {n} tokens, {named('token', mute)} are attended to (weight {share} "
    text += "at q = 0) but do not answer to their own keys"
    if len(mute) == 1:
        text = text.replace(" are attended", " is attended").replace("do not", "does not")
        text = text.replace("their own keys", "its own key")
    others = others - {mute[0]} if len(others) == 1 else set()
    if others:
        text += f": token {others.pop()} answers instead"
    operation = f"append {n}"
    at_once = False
    before = growth.lengths[growth.lengths.index(n) - 1] if n > growth.lengths[0] else 0
    if before == n - 1 and before > 0 and bench.streaming:
        earlier = one.first(n - 1)
        (old_level,) = bench.weights(earlier, np.zeros((1, D), np.float32), shape)
        old = attended(old_level)
        old_mute, _ = _mute(bench, earlier, shape, np.array(sorted(set(mute) & set(old.tolist()))))
        old_each = _bits(bench, earlier, shape) / max(1, len(old) * 2 * D)
        fine = [t for t in mute if t in old and t not in old_mute]
        if len(fine) > len(mute) / 2:
            text += f"; one append earlier they did ({old_each:.3g} bits a number then)"
            at_once = each > 0.9 * old_each
    text += f"; the message has {each:.3g} bits for each number attended to."
    if not (each >= PAID or at_once):
        return None
    return Fault(
        "key-damaged", text, tokens=whole(mute), operation=operation,
        reproduction=(f"append {n} tokens", f"ask for the key of token {mute[0]}: weight "
                      "below 1/2", f"ask q = 0: weight {level[mute[0]]:.4f}"),
    )  # fmt: skip


def _is_softmax(level: Float32, rows: NDArray[np.int64]) -> bool:
    """Whether the weights at q = 0 are those of rows of tokens: equal, and 1 in all.

    An estimate of attention from samples or clusters has others, and is not judged here.
    """
    if not len(rows):
        return False
    each = level[rows]
    return bool(abs(each.sum() - 1) < 0.05 and np.abs(each / each.mean() - 1).max() < 0.05)


def _mute(
    bench: Bench, one: Stream, shape: object, rows: NDArray[np.int64]
) -> tuple[list[int], set[int]]:
    """Which of these tokens have less than half of the weight at their own keys; who has it."""
    if not len(rows):
        return [], set()
    queries = one.questions(rows)
    weights = bench.weights(one, queries, shape)  # type: ignore[arg-type]
    own = weights[np.arange(len(rows)), rows]
    # Merged tokens share a row: two and more have one weight, and it is the most there is.
    alike = weights > 0.999 * weights.max(axis=1, keepdims=True)
    merged = alike[np.arange(len(rows)), rows] & (alike.sum(axis=1) > 1)
    merged &= alike.sum(axis=1) < weights.shape[1] / 4
    silent = np.flatnonzero((own < 0.5) & ~merged)
    heard = {int(weights[i].argmax()) for i in silent if weights[i].max() > 0.9}
    return [int(rows[i]) for i in silent], heard


def _bits(bench: Bench, one: Stream, shape: object) -> int:
    return 8 * len(bench.fed(one, shape).save())  # type: ignore[arg-type]
