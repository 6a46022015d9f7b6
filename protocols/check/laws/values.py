"""Rows that are still attended to answer with the values that they had.

*Law.* At q = 0 every row that a cache holds has the same weight, so the weight w of the newest
token says how many rows there are, 1/w. One append loses the values of half or more of the tokens
that answered before it, while

* the rows are all there: 1/w is at least 9/10 of the tokens that came;
* nothing was saved: the message is no shorter than before, and has at least 8 bits a number;
* it is no rounding: the lost answers have nothing to do with what was appended (a correlation below
  3/10; rounding to a sign leaves .8).

Then this append moved or overwrote the values of rows that it keeps. Who evicts has fewer rows; who
merges tokens answers with their mean, which correlates by 1/sqrt(m) with each of m: .7 for two.

The weight is read with values that are 0 but for the newest token's, of which 0 is 0 wherever it
was moved.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...evidence.places import named
from ..bench import Bench, D, Stream, real_valued, stream
from ..fault import Fault, whole
from .growth import EVERY_LENGTH, Growth, grown
from .mixed import correlations

PAID = 8.0
NOTHING = 0.3
LEAST = 8


def law(bench: Bench) -> Iterator[Fault]:
    """The first length at which one append loses half of what was held."""
    if not bench.streaming:
        return
    growth = grown(bench)
    for n in growth.lengths:
        if LEAST < n <= EVERY_LENGTH and n - 1 in growth.wrong:
            fault = _at(bench, growth, n)
            if fault is not None:
                yield fault
                return


def _at(bench: Bench, growth: Growth, n: int) -> Fault | None:
    held = set(growth.held(n - 1))
    gone = [t for t in growth.lost(n) if t in held]
    if len(gone) < max(LEAST, len(held) / 2):
        return None
    shape = bench.shape(len(growth.stream))
    one = stream(len(growth.stream), real_valued(len(growth.stream))).first(n)
    before, after = bench.fed(one.first(n - 1), shape), bench.fed(one, shape)
    short, long = (8 * len(c.save()) for c in (before, after))
    only = np.zeros_like(one.values)
    only[-1] = 1
    marked = bench.fed(Stream(one.keys, only, one.scale), shape)
    weight = float(bench.answers(marked, np.zeros((1, D), np.float32), D)[0, 0])
    read = bench.read(after, one, gone)
    alike = np.median(np.abs(correlations(read, one.values[gone]).diagonal()))
    each = long / (n * 2 * D)
    kept_rows = weight > 0 and 0.9 * n <= 1 / weight <= 1.1 * n
    if not kept_rows or long < short or each < PAID or alike > NOTHING:
        return None
    return Fault(
        "value-damaged",
        f"append {n} loses the values of {named('token', gone)}, which answered before: all {n} "
        f"rows are still attended to (weight 1/{1 / weight:.0f} at q = 0), and the message has "
        f"{each:.3g} bits for each number.",
        tokens=whole(gone),
        operation=f"append {n}",
        reproduction=(f"append {n - 1} tokens", f"ask for token {gone[0]}: right", "append 1",
                      f"ask for token {gone[0]}: nothing that was appended"),
    )  # fmt: skip
