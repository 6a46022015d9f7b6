"""Plain Python twin of Algorithm 2 on many queries: every coin by its address."""

from __future__ import annotations

import math

from .ingest import MASK, splitmix_finish

GAMMA = 0x9E3779B97F4A7C15


def count_winners(scores, inside, seed, draws):
    """How often each token of one row wins."""
    at = 0

    def unit():
        nonlocal at
        at += 1
        word = splitmix_finish((splitmix_finish(seed) + at * GAMMA) & MASK)
        return ((word >> 12) + 0.5) * 0.5**52

    n = len(scores)
    top = [t for t in range(n) if inside[t]]
    outside = [t for t in range(n) if not inside[t]]
    least = min(scores[t] for t in top)
    counts = [0] * n
    for _ in range(draws):
        best, winner = max((scores[t] - math.log(-math.log(unit())), -t) for t in top)
        winner = -winner
        end, clock = math.exp(least - best), 0.0
        for m in range(len(outside)):
            clock -= math.log(unit()) / (len(outside) - m)
            if clock >= end:
                break
            place = m + int(unit() * (len(outside) - m))
            outside[m], outside[place] = outside[place], outside[m]
            value = scores[outside[m]] - math.log(clock)
            if value > best:
                best, winner = value, outside[m]
        counts[winner] += 1
    return counts
