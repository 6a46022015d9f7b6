"""Theorem 1 as a whole: d min{n, e^d} in n and d at once, and at every time step of one stream.

``every-step-grid.csv``: for each n and d the tokens of one public sequence that are certified at
query norm R = d (eta = 1/2), beside what no n unit keys exceed there and what some have
(``low_dimension``, (2): the two are e^{Theta(d)}, a constant apart). ``every-step-times.csv``: Bob
comes to one stream at random moments and asks for everything hidden so far; the states of an exact
cache, of a cache that merges equal keys, and of a window, at those moments.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..kit.run import Run
from ..kit.tables import Row, Tables, fill
from .stream import ETA, accepted_keys, played

if TYPE_CHECKING:
    pass

GRID, TIMES = "every-step-grid.csv", "every-step-times.csv"
DIMENSIONS = {"quick": (2, 4, 6, 8, 10, 12, 14, 16), "full": tuple(range(2, 19))}
CANDIDATES = {"quick": 1 << 13, "full": 1 << 17}
PLAYED = {"quick": (4, 8, 12), "full": (4, 6, 8, 10, 12, 14)}
TOKENS = {"quick": 1 << 11, "full": 1 << 13}
MESSAGES = {"quick": 4, "full": 16}
MOMENTS = 12
COMPRESSORS = ("exact", "merged", "window")


def run(job: Run) -> None:
    """Fill the two tables; one that is there already is left alone."""
    scale = job.scale
    tables: Tables = {
        GRID: [(grid_rows, (d, CANDIDATES[scale])) for d in DIMENSIONS[scale][::-1]],
        TIMES: [
            (played, (name, d, TOKENS[scale], message, MOMENTS))
            for d in PLAYED[scale][::-1]
            for name in COMPRESSORS
            for message in range(MESSAGES[scale])
        ],
    }
    fill(job, "every-step", tables)


def grid_rows(d: int, candidates: int) -> list[Row]:
    """One dimension, n = 2, 4, .. up to the number of candidates."""
    from ...reductions.low_dimension import log_mean_weight, most_certified, surely_certified

    R = float(d)
    certified = len(accepted_keys(d, R, candidates, 0))
    most, least = math.ceil(most_certified(d, R, ETA)) - 1, surely_certified(d, R, ETA)
    return [
        {
            "d": d, "n": n, "R": R, "eta": ETA, "tokens": min(n, certified),
            "bits": d * min(n, certified), "least": d * min(n, least), "most": d * min(n, most),
            "exponent": -log_mean_weight(d, R),
        }
        for n in (1 << k for k in range(1, candidates.bit_length()))
    ]  # fmt: skip
