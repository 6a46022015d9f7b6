"""The average case: keys drawn anew for each message, and queries of norm about beta.

``average-case-theta.csv``: for each d, n and beta the probability theta that a row's interference
reaches 1/rho (``reductions.gaussian``), from independent rows, beside its closed bound; and the
bits per secret bit that follow. ``average-case.csv``: the reduction ``gaussian`` played by
algorithms of the zoo and by controls, at one n, for each d and several beta.

How a row is drawn. Given k_i, the products <k_i, k_l> of the other keys are independent
N(0, |k_i|^2), so S'_i has the law of sum_l exp(a z_l - beta |k_i|^2 / sqrt(d)), a = beta |k_i| /
sqrt(d), z_l standard normal, |k_i|^2 chi-square: n numbers a row in the place of n d. One table's
rows of one n share their z over d and beta, so points of one n move together; the rows of one
point are independent, which is what its interval is about. In the played table S'_i is that of the
float32 keys and queries sent.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from ...protocols.game.cell import Cell
from ...protocols.game.instances import Gaussian
from ..kit.binomial import clopper_pearson
from ..kit.played import Played, play_table
from ..kit.run import Run
from ..kit.tables import Row, Tables, fill

THETA, PLAYED = "average-case-theta.csv", "average-case.csv"
ETA = 0.5
LEVEL = 0.99
DIMENSIONS = (32, 64, 128)
BETAS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.5, 8.0)
#: tokens: independent rows drawn
ROWS = {
    "quick": {1 << 6: 2000, 1 << 8: 2000, 1 << 11: 1000, 1 << 14: 500, 1 << 17: 200},
    "full": {1 << k: 4000 for k in range(6, 18)},
}
#: of the normals of one table, held at once
_CHUNK = 1 << 22

TOKENS = {"quick": 256, "full": 512}
MESSAGES = {"quick": 48, "full": 192}
PLAYED_BETAS = (1.0, 2.0, 4.0)


def run(job: Run) -> None:
    """Fill both tables; what today's code has made is left alone."""
    job.folder.mkdir(parents=True, exist_ok=True)
    tables: Tables = {
        THETA: [(theta_rows, (n, rows)) for n, rows in reversed(ROWS[job.scale].items())]
    }
    fill(job, "average-case", tables)
    play_table(job, PLAYED, cells(job.scale), MESSAGES[job.scale])


def theta_rows(n: int, rows: int) -> list[Row]:
    """One n: every d and beta, from the same normals."""
    from ...reductions.gaussian import average_rate, closed_theta

    rng = np.random.Generator(np.random.Philox(key=np.array([n, 12], dtype=np.uint64)))
    norms = np.sqrt(rng.chisquare(np.array(DIMENSIONS)[:, None], (len(DIMENSIONS), rows)))
    hits = np.zeros((len(DIMENSIONS), len(BETAS)), dtype=np.int64)
    step = max(1, _CHUNK // n)
    for start in range(0, rows, step):
        z = rng.standard_normal((min(step, rows - start), n - 1), dtype=np.float32)
        for i, d in enumerate(DIMENSIONS):
            norm = norms[i, start : start + step]
            for j, beta in enumerate(BETAS):
                hits[i, j] += _reached(z, norm, beta / np.sqrt(d))
    found = []
    for i, d in enumerate(DIMENSIONS):
        for j, beta in enumerate(BETAS):
            theta, closed = float(hits[i, j] / rows), closed_theta(n, d, beta, ETA)
            low, high = clopper_pearson(int(hits[i, j]), rows, LEVEL)
            found.append({
                "d": d, "n": n, "beta": beta, "eta": ETA, "rows": rows, "unread": int(hits[i, j]),
                "theta": theta, "low": float(low), "high": float(high), "level": LEVEL,
                "closed": closed, "rate": average_rate(theta),
                "rate_at_level": average_rate(float(high)), "closed_rate": average_rate(closed),
            })  # fmt: skip
    return found


def _reached(z: Any, norm: Any, C: float) -> int:
    """In how many rows S' >= 1/rho, from the others' normals float32[m, n-1] and |k|, [m]."""
    slope, offset = (C * norm).astype(np.float32), C * norm**2
    terms = np.exp(slope[:, None] * z)
    log_sum = np.log(terms.sum(axis=1, dtype=np.float64)) - offset
    return int(np.count_nonzero(log_sum >= np.log((1 - ETA) / (1 + ETA))))


def cells(scale: str) -> list[Cell]:
    """Every point that is played."""
    found = []
    for d in DIMENSIONS:
        for beta in PLAYED_BETAS:
            cell = partial(Cell, Gaussian(n=TOKENS[scale], d=d, beta=beta))
            found += [
                cell("zero"),
                *(cell("time-sharing", budget=Fraction(k, 10 * 32)) for k in (1, 2, 4, 8)),
                cell("lossless"),
                *(cell("sliding-window", budget=Fraction(k, 10)) for k in (5, 9)),
                cell("quantized", (("axis", "token"), ("bits", 2))),
                cell("exact", (("dtype", "fp16"),)),
            ]
    return found


POINTS = Played(PLAYED, list)
