"""How points rank: pure functions of points.

At a given memory, by the least error of any setting within it; and over all memories, by recovered
secret bits per charged bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..compressors.catalog import CATALOG, family
from ..reductions.bounds import binary_entropy
from .points import curve_label

Point = dict[str, Any]

MEMORIES = (Fraction(1, 8), Fraction(1, 4), Fraction(1, 2))
"""Shares of the 16-bit K and V cache at which methods are compared: 2, 4 and 8 bits a number."""


def recovered(point: Point) -> float:
    """Recovered secret bits per charged bit, N (1 - h(e)) / M at the measured error e.

    At most 1 by Fano's inequality, so its inverse is the overhead over the limit. An error of 1/2
    or more recovers nothing.
    """
    error = min(float(point["bit_error"]["estimate"]), 0.5)
    if not point["charged_bits"]:
        return 0.0
    return (1 - float(binary_entropy(error))) / float(point["bits_per_secret_bit"])


def error_at(found: Sequence[Point], budget: Fraction) -> Point | None:
    """The point of least error whose memory is within a budget, the smallest of them; or None."""
    within = [p for p in found if 1 / (p["compression_ratio"] or np.inf) <= float(budget) * 1.0001]
    return min(within, key=lambda p: (_error(p), -(p["compression_ratio"] or np.inf)), default=None)


def ranking(found: Sequence[Point]) -> list[tuple[str, Point]]:
    """Compressors by the best of their recovered bits per charged bit, among the points given."""
    best: dict[str, Point] = {}
    for point in found:
        name = str(point["compressor"])
        if name not in best or recovered(point) > recovered(best[name]):
            best[name] = point
    return sorted(best.items(), key=lambda item: -recovered(item[1]))


def bits_per_number(point: Point) -> float:
    """Charged bits for each number of K and V: 16 over the compression ratio.

    >>> bits_per_number({"compression_ratio": 4.0}), bits_per_number({"compression_ratio": None})
    (4.0, 0.0)
    """
    return 16 / float(point["compression_ratio"] or np.inf)


def rank_rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The ranking at each of :data:`MEMORIES` as plain data, best first, on each family of streams.

    A row is a compressor at a memory: its setting of least error that fits, and of these the one
    of least memory. ``rank`` counts the smaller errors, plus one, so equal errors share it; it is
    None, with everything measured, where no setting fits. ``told_apart``: whether its interval lies
    above the interval of the first; if not, these messages do not tell which of them is better.
    """
    rows = []
    for stream in dict.fromkeys(map(stream_of, points)):
        here = [point for point in points if stream_of(point) == stream]
        for memory in MEMORIES:
            rows += [{"stream": stream, "memory": str(memory), **row} for row in _at(here, memory)]
    return rows


def _at(points: Sequence[Point], memory: Fraction) -> list[dict[str, Any]]:
    # Of settings that measure the same, the one that asked for the least.
    points = sorted(points, key=lambda p: np.inf if p["budget"] is None else float(p["budget"]))
    names = sorted({str(point["compressor"]) for point in points})
    found = {
        name: error_at([p for p in points if p["compressor"] == name], memory) for name in names
    }
    fit = sorted(
        ((name, best) for name, best in found.items() if best is not None),
        key=lambda one: (_error(one[1]), bits_per_number(one[1]), one[0]),
    )
    errors = [_error(best) for _, best in fit]
    lowest = min((float(best["bit_error"]["high"]) for _, best in fit[:1]), default=1.0)
    placed: list[tuple[str, Point | None]] = [*fit]
    placed += [(name, None) for name, best in found.items() if best is None]
    return [_row(name, best, errors, lowest) for name, best in placed]


def _row(name: str, best: Point | None, errors: Sequence[float], lowest: float) -> dict[str, Any]:
    entry = CATALOG.get(name)
    row: dict[str, Any] = {
        "compressor": name,
        "family": family(name) if entry else None,
        "assumes": entry.assumes or None if entry else None,
        "broken_by": entry.broken_by or None if entry else None,
    }
    if best is None:
        measured = ("rank", "told_apart", "setting", "budget", "bits_per_number",
                    "bits_per_secret_bit", "bit_error", "wrong_bits", "asked_bits", "messages",
                    "recovered", "guarantee", "null", "ledger")  # fmt: skip
        return row | dict.fromkeys(measured)
    return row | {
        "rank": 1 + sum(error < _error(best) for error in errors),
        "told_apart": float(best["bit_error"]["low"]) > lowest,
        "setting": curve_label(best),
        "budget": best["budget"],
        "bits_per_number": bits_per_number(best),
        "bits_per_secret_bit": best["bits_per_secret_bit"],
        "bit_error": best["bit_error"],
        "wrong_bits": best["wrong_bits"],
        "asked_bits": best["asked_bits"],
        "messages": best["messages"],
        "recovered": recovered(best),
        "guarantee": best["guarantee"]["verdict"],
        "null": best["guarantee"]["null"]["name"],
        "ledger": best["ledger"]["verdict"],
    }


def _error(point: Point) -> float:
    return float(point["bit_error"]["estimate"])


def stream_of(point: Point) -> str:
    """The family of streams a point was played on; only points of one are compared."""
    said = f"{point['reduction']}, {point['keys']} keys, n = {point['n']}, d = {point['d']}"
    if point["layers"] * point["heads"] > 1:
        said += f", {point['layers']} layers of {point['heads']} heads"
    bob = "" if point["bob"] == "threshold" else f", {point['bob']} Bob"
    return f"{said}, {point['queries']} queries, {point['basis']} basis{bob}"
