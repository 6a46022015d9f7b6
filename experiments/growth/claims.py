"""How time and memory grow, and how far the machine's own limit is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..kit.experiment import Judgement, claim, judge
from .measure import INGEST, SETTINGS, TABLE

if TYPE_CHECKING:
    import pandas as pd

#: an exponent below grows like n, above like n^2: four times the noise of a factor 16 decides
BETWEEN = 1.5
#: an exponent below is perhaps that of n: who shares the memory bus has slowed the longer of two
#: streams, four times the shorter, by 1.9 and more for as long as it was measured
LOUD = 1.75
#: a square with a small factor beside what is done for a token alone, at the sizes measured
LEAST_SQUARE = 1.15
SQUARE = {"h2o": BETWEEN, "subgen": BETWEEN, "performer": LEAST_SQUARE}
LINEAR = tuple(one.target for one in SETTINGS if one.target not in SQUARE)


Exponents = dict[tuple[str, int], tuple[float, float]]


def exponents(table: pd.DataFrame, least: str, usual: str) -> Exponents:
    """The interval of the exponent of each target and d, from its two longest streams.

    What else runs on a machine only adds to a time, so the least is the best guess and the median
    what noise makes of it. The low end takes the longer stream's least time against the shorter
    one's median, the high end the other way round.
    """
    found = {}
    for (target, d), rows in table.groupby(["target", "d"], sort=False):
        short, long = (rows.sort_values("n").iloc[at] for at in (-2, -1))
        apart = math.log(long["n"] / short["n"])
        low = math.log(long[least] / short[usual]) / apart
        found[str(target), int(d)] = low, math.log(long[usual] / short[least]) / apart
    return found


def _told(found: Exponents) -> str:
    return ", ".join(f"{t} d={d} {low:.2f} to {high:.2f}" for (t, d), (low, high) in found.items())


@claim("growth.linear", "observation", "ours", TABLE, preregistered=False)
def linear(table: pd.DataFrame) -> Judgement:
    """A message of exact, quantized, sliding-window, turboquant and low-rank takes time that grows
    like n: an exponent below 3/2.
    """
    found = exponents(table[table["target"].isin(LINEAR)], "seconds", "seconds_median")
    below = all(high < BETWEEN for _, high in found.values())
    loud = any(low > LOUD for low, _ in found.values())
    return judge(below, _told(found), decided=below or loud)


@claim("growth.square", "observation", "ours", TABLE, preregistered=False)
def square(table: pd.DataFrame) -> Judgement:
    """With memory in proportion to n, a message of h2o and subgen takes time that grows like n^2,
    every token meets all that is kept: an exponent above 3/2; one of performer above n^1.15, where
    what is done for a token alone is still a large part.
    """
    found = exponents(table[table["target"].isin(SQUARE)], "seconds", "seconds_median")
    sides = [(low > SQUARE[t], high <= SQUARE[t]) for (t, _), (low, high) in found.items()]
    above = all(more for more, _ in sides)
    return judge(above, _told(found), decided=above or any(less for _, less in sides))


@claim("growth.catalog", "observation", "ours", INGEST, preregistered=False)
def catalog(table: pd.DataFrame) -> Judgement:
    """The time in which each compressor takes in a stream grows as the catalog says: above n^1.15
    where it says n^2, below n^1.5 elsewhere, with memory in proportion to n.
    """
    found = exponents(table, "seconds", "seconds_median")
    squares = set(table.loc[table["square"].notna(), "target"])
    above = {name: one for (name, _), one in found.items() if name in squares}
    below = {name: one for (name, _), one in found.items() if name not in squares}
    slow = min(above, key=lambda name: above[name][0])
    fast = max(below, key=lambda name: below[name][1])
    wrong = [name for name, (_, high) in above.items() if high <= LEAST_SQUARE]
    wrong += [name for name, (low, _) in below.items() if low > LOUD]
    unsure = [name for name, (low, _) in above.items() if low <= LEAST_SQUARE]
    unsure += [name for name, (_, high) in below.items() if high >= BETWEEN]
    return judge(
        not unsure,
        f"{len(above)} of n^2, the least {slow} {above[slow][0]:.2f} to {above[slow][1]:.2f}; "
        f"{len(below)} of n, the most {fast} {below[fast][0]:.2f} to {below[fast][1]:.2f}; n = "
        f"{table['n'].min():,} to {table['n'].max():,}"
        + (f"; not as said: {', '.join(wrong)}" if wrong else ""),
        decided=bool(wrong) or not unsure,
    )


@claim("growth.memory", "observation", "ours", TABLE)
def memory(table: pd.DataFrame) -> Judgement:
    """A message of exact, Alice's and Bob's part together, never takes more memory than twice its K
    and V in float32, from 2^14 tokens on.
    """
    rows = table[(table["target"] == "exact") & (table["n"] >= 1 << 14)]
    share = rows["peak_bytes"] / rows["cache_bytes"]
    return judge(
        len(rows) > 0 and bool((share < 2).all()),
        f"{share.min():.2f} to {share.max():.2f} of K and V, n = {rows['n'].min():,} to "
        f"{rows['n'].max():,}",
    )


@claim("growth.bit", "observation", "ours", TABLE)
def bit(table: pd.DataFrame) -> Judgement:
    """Nothing takes memory for a secret bit that grows with n: the exponent of peak memory is at
    most 1.1.
    """
    found = exponents(table, "peak_bytes", "peak_bytes")
    return judge(all(high <= 1.1 for _, high in found.values()), _told(found))


@claim("growth.limit", "observation", "ours", TABLE, preregistered=False)
def limit(table: pd.DataFrame) -> Judgement:
    """The longest message of exact takes 3 to 3,000 times as long as reading its K and V once: the
    game, and not the memory bus, is the limit.
    """
    rows = table[table["target"] == "exact"]
    rows = rows[rows["n"] == rows["n"].max()]
    times = rows["seconds"] / rows["read_seconds"]
    rate = rows["cache_bytes"] / rows["read_seconds"] / 1e9
    return judge(
        bool(((times > 3) & (times < 3000)).all()),
        f"{times.min():.0f} to {times.max():.0f} times at n = {rows['n'].max():,}, read at "
        f"{rate.min():.0f} to {rate.max():.0f} GB/s",
    )
