"""Memory needed for bit error at most 1/10 against n and d, and how near the limit it comes.

For each size the smallest setting of a compressor's knob with measured error at most 1/10 is found
by bisection, every probe being played in the game; the point is that setting's charged bits. The
*fixed state* is what a compressor's message holds beyond the part that grows with the axis (a
counter; against d, the quantiser's scales): it is known from the layout, drawn, and subtracted
before the slope is taken. Keys are hypercube addresses, which exist for every d >= log2 n.

The theorem allows no slope below 1, and a slope of 1 is no evidence for it: these methods store so
many bits a token or a coordinate, whatever the stream, so their slope follows from their layout.
What can come near the limit is a code for bits: the trellis, with a share of the secret kept as it
is, stands 12 % above it. Viterbi's algorithm takes time, so it is played up to 2^17 secret bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kit.run import Run
from ..kit.search import Search, Team, find
from ..kit.tables import make

TABLE, PLAYED = "scaling.csv", "scaling-played.csv"
MESSAGES = 16

# Powers of two are whole hypercube families, whose scale is exact at once; 128 spans two decades.
N_AXIS = {"quick": (32, 128, 512, 2048, 8192, 16384), "full": tuple(2**k for k in range(5, 17))}
D_AXIS = {"quick": (8, 32, 128, 512, 1024), "full": tuple(2**k for k in range(3, 12))}
TWO_DECADES = 128
FIXED_D, FIXED_N = 32, 128


def _quantizer_scales(axis: str, n: int, d: int) -> int:
    # A scale and a zero point in fp16 for each key and each value: 64 bits a token, none a channel.
    return 64 * n if axis == "d" else 0


TEAMS = (
    Team("sliding-window", lambda n, d: n, lambda k: {"window": k}),
    Team("reservoir", lambda n, d: n, lambda k: {"size": k}, lambda axis, n, d: 64),
    Team("quantized", lambda n, d: 4, lambda k: {"bits": 2 ** (k - 1)}, _quantizer_scales),
    Team("time-sharing", lambda n, d: n * d // 8, lambda k: {"budget_bytes": k}),
    Team("lossless", lambda n, d: 1, lambda k: {}),
    Team("trellis-code", lambda n, d: 16, lambda k: {"plain": k / 16}, most=2**17),
)  # fmt: skip


def run(job: Run) -> None:
    """Fill the table; every probe is a row of the played file and is never played twice."""
    job.folder.mkdir(parents=True, exist_ok=True)
    make(job, TABLE, _rows)


def _rows(job: Run) -> list[dict[str, Any]]:
    sizes = [("n", n, FIXED_D) for n in N_AXIS[job.scale]]
    sizes += [("d", FIXED_N, d) for d in D_AXIS[job.scale]]
    searches = [Search(team, *size) for size in sizes for team in TEAMS]
    searches = [search for search in searches if search.n * search.d <= search.team.most]
    rows = find(job, PLAYED, searches, MESSAGES)
    for row in rows:
        row["slope"] = _slope([r for r in rows if _curve(r) == _curve(row)])
    return rows


def _curve(row: dict[str, Any]) -> tuple[str, str]:
    return row["compressor"], row["axis"]


def _slope(rows: list[dict[str, Any]]) -> float:
    """Least-squares slope in log-log over the two largest decades, fixed state subtracted."""
    sizes = np.array([float(row["size"]) for row in rows])
    bits = np.array([float(row["charged_bits"] - row["fixed_bits"]) for row in rows])
    chosen = sizes >= sizes.max() / TWO_DECADES
    return float(np.polyfit(np.log(sizes[chosen]), np.log(bits[chosen]), 1)[0])
