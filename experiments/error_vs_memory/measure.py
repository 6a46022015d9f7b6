"""Error against memory for the baselines and the controls, each at several settings of its knob.

The Index game at n = 512, d = 64 on jl keys, with committed secrets that all compressors share.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

from ...protocols.game.cell import Cell
from ...protocols.game.instances import Index
from ...runs.points import points_of
from ...runs.rows import BatchRow
from ..kit.played import Played, play_table
from ..kit.run import Run

TABLE = "error-vs-memory.csv"
MESSAGES = {"quick": 64, "full": 256}
SIZE = {"quick": (512, 64), "full": (2048, 128)}
CACHES = ("sliding-window", "streaming-llm", "reservoir")
BUDGETS = tuple(Fraction(1, 2**k) for k in range(6, -1, -1))

Point = dict[str, Any]


def cells(scale: str) -> list[Cell]:
    """Every point of the figure."""
    n, d = SIZE[scale]
    cell = partial(Cell, Index(n=n, d=d))
    shares = [Fraction(k, 8 * 32) for k in range(1, 8)]
    return [
        cell("zero"),
        *(cell("time-sharing", budget=share) for share in shares),
        *(cell("covering-code", (("code", code),)) for code in ("hamming", "golay")),
        *(cell("trellis-code", (("states", states),)) for states in (4, 16, 64, 256)),
        cell("lossless"),
        *(cell(name, budget=budget) for name in CACHES for budget in BUDGETS),
        *(
            cell("quantized", (("axis", axis), ("bits", bits)))
            for axis in ("token", "channel")
            for bits in (1, 2, 4, 8)
        ),
        *(cell("exact", (("dtype", dtype),)) for dtype in ("fp8", "bf16", "fp16", "fp32")),
    ]


def run(job: Run) -> None:
    """Play every cell; batches that the table has already are not played again."""
    job.folder.mkdir(parents=True, exist_ok=True)
    play_table(job, TABLE, cells(job.scale), MESSAGES[job.scale])


def points(rows: list[BatchRow]) -> list[Point]:
    """The table's rows as points, each with the name of its curve in the figure.

    In the order of :func:`cells`, whatever was played first: colours go by it.
    """
    place = {(cell.target, cell.params): k for k, cell in enumerate(cells("quick"))}
    found = [point | {"series": _series(point)} for point in points_of(rows)]
    return sorted(found, key=lambda p: place[p["compressor"], tuple(p["params"].items())])


def _series(point: Point) -> str:
    # The knob of a curve is not part of its name; what stays is what a reader distinguishes.
    name = str(point["compressor"])
    return f"quantized per {point['params']['axis']}" if name == "quantized" else name


ROWS, POINTS = Played(TABLE, list), Played(TABLE, points)
