"""Interleaved timing on the CPU clock: the median of ratios taken within a round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def rounds(
    candidates: Mapping[str, Callable[[], object]], count: int, least: float = 0.05
) -> dict[str, list[float]]:
    """Seconds of CPU time per call, one number a round, for each candidate.

    Every round runs every candidate, starting one further than the last, so that a change of clock
    speed or of the neighbours' load meets all alike. A candidate is repeated within its round until
    it has taken ``least`` seconds. Process time counts no time in which others had the core.
    """
    repeats = {}
    for name, call in candidates.items():
        call()  # compile, fault pages in, fill caches
        started = time.process_time()
        call()
        repeats[name] = max(1, round(least / max(time.process_time() - started, 1e-7)))
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for r in range(count):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            started = time.process_time()
            for _ in range(repeats[name]):
                candidates[name]()
            taken[name].append((time.process_time() - started) / repeats[name])
    return taken


def ratio(taken: Mapping[str, list[float]], peer: str, ours: str) -> float:
    """How many times faster than the peer: the median over rounds of peer / ours."""
    return statistics.median(p / o for p, o in zip(taken[peer], taken[ours], strict=True))


def middle(times: list[float]) -> float:
    return statistics.median(times)
