"""How points rank: recovered bits per charged bit, error at a budget. Pure functions of points."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..reductions.bounds import binary_entropy

Point = dict[str, Any]


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
    """The point of least error whose memory is within a budget, or None."""
    within = [p for p in found if 1 / (p["compression_ratio"] or np.inf) <= float(budget) * 1.0001]
    return min(within, key=lambda p: float(p["bit_error"]["estimate"]), default=None)


def ranking(found: Sequence[Point]) -> list[tuple[str, Point]]:
    """Compressors by the best of their recovered bits per charged bit, among the points given."""
    best: dict[str, Point] = {}
    for point in found:
        name = str(point["compressor"])
        if name not in best or recovered(point) > recovered(best[name]):
            best[name] = point
    return sorted(best.items(), key=lambda item: -recovered(item[1]))
