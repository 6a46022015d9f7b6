"""An attention answer is a convex combination of appended values.

*Law.* Attention answers sum_t w_t v_t with w_t = exp(<q,k_t>)/Z >= 0, sum_t w_t = 1. If channel 0
of every appended value is 1, channel 0 of every answer is 1, for every query, whichever tokens
the cache holds and whatever it did to the keys. What it did to the values is seen at the tight
scale: at q = 0 the answer lies between the least and the largest of the numbers read there. What
lacks at a short query is weight on rows that nobody appended: empty slots, stale rows. If these
are m rows with score 0, the answer at q = 0 is h/(h + m) for h rows of appended tokens, and the
answer at a query with normaliser Z over the tokens is Z/(Z + m).

Weights at q = 0 name the tokens: all rows there are have the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...evidence.places import named
from ..bench import Bench, attended, stream, two_valued
from ..fault import Fault, whole
from .growth import LOST, SMALL, Growth, grown, look
from .returns import came_back

TITLE = "weight on appended tokens only"
FEW = 8
LONG = 520
"""Over 2 * 256, where a sum of ones ends in 8 bits (bfloat16)."""
ROUNDED = 0.05
"""The same where some bits of held tokens are wrong: then rounding is coarse."""
LEAST = 0.004
"""What may lack of 1, beyond what is read at the tight scale: the rounding of an 8-bit value."""


def lacking(growth: Growth, n: int) -> float:
    """What channel 0 is away from 1 at q = 0, beyond what the cache's own rounding explains."""
    if n not in growth.tight_ones:
        return 0.0
    least, most = growth.tight_ones[n]
    answer = growth.ones[n][0]
    away = max(least - answer, answer - most)
    rounded = any(0 < share < LOST for share in growth.shares[n].values())
    allowed = ROUNDED if rounded else LEAST
    return float(away) if away > allowed + (most - least) / 2 else 0.0


def law(bench: Bench) -> Iterator[Fault]:
    """The lengths at which the constant channel is not constant."""
    yield from _at_lengths(bench, grown(bench))
    if "foreign-mass" not in bench.found and bench.most >= LONG and bench.streaming:
        yield from _at_lengths(bench, _long(bench))


def _long(bench: Bench) -> Growth:
    """One greater length: what sums weights in a narrow type is wrong from some length on."""
    growth = Growth(stream(LONG, two_valued(LONG)))
    compressor = bench.fed(growth.stream)
    look(bench, growth, compressor, LONG, range(0, LONG, LONG // 24))
    return growth


def _at_lengths(bench: Bench, growth: Growth) -> Iterator[Fault]:
    found = [n for n in growth.lengths if lacking(growth, n)]
    if not found or any(came_back(growth, n) for n in growth.lengths):
        return
    n = max(found, key=lambda m: (m >= FEW, round(lacking(growth, m), 3), m))
    worst = growth.ones[n]
    one = growth.stream.first(n)
    shape = bench.shape(len(growth.stream) if bench.streaming else n)
    (weights,) = bench.weights(one, np.zeros((1, one.keys.shape[1]), np.float32), shape)
    rows = attended(weights)
    total = float(weights.sum())
    each = float(np.median(weights[rows])) if len(rows) else 0.0
    text = (
        f"after {n} tokens, a channel that is 1 in every value comes out as {worst[0]:.3f} at q "
        "= 0, "
        f"and {worst[1]:.3f} and {worst[2]:.3f} at queries of length {SMALL[1]:g} and {SMALL[2]:g} "
        f"(1 at the tight scale)"
    )
    tokens = None
    if each > 0 and worst[0] < 1:
        foreign = (1 - worst[0]) / each
        text += (
            f": of {1 / each:.4g} rows that are attended to, {foreign:.3g} hold nothing that was "
            "appended"
        )
        first = int(rows.min())
        right = set(growth.held(n))
        gone = [t for t in range(n) if t not in right and t not in set(rows.tolist())]
        near = [t for t in gone if first - round(foreign) <= t < first or t > first]
        if near and foreign < n / 2 and len(near) <= foreign + 1:
            text += f"; they stand where {named('token', near)} should be"
            tokens = whole(near)
    elif worst[0] > 1:
        text += ": the weights add up to more than 1"
    at = f", first at length {found[0]}" if found[0] != n else ""
    yield Fault(
        "foreign-mass", f"{text}{at} (weights of the tokens: {total:.3f}).", tokens=tokens,
        operation=f"append {n}",
        reproduction=(f"append {n} tokens whose values have a 1 in channel 0", "ask q = 0",
                      f"channel 0 is {worst[0]:.4f}, not 1"),
    )  # fmt: skip
