"""Memory needed for bit error at most 1/10 against n and d; the theorem allows no slope below 1.

For each size the smallest setting of a compressor's knob with measured error at most 1/10 is found
by bisection, every probe being played in the game; the point is that setting's charged bits. The
*fixed state* is what a compressor's message holds beyond the part that grows with the axis (a
counter; against d, the quantiser's scales): it is known from the layout, drawn, and subtracted
before the slope is taken. Keys are hypercube addresses, which exist for every d >= log2 n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from ..protocols.instance import Cell, Instance
from ..protocols.verdicts import PointVerdict
from ..reductions.bounds import fano_rate
from .experiment import Claim, Experiment, Judgement, Run, judge
from .points import judge_rows
from .results import Results, ResultsFile
from .runner import run_cells
from .stopping import FixedMessages
from .tables import read_table, write_table

TABLE, PLAYED = "scaling.csv", "scaling-played.csv"
GUARANTEE = 0.1
MESSAGES = 16
TOLERANCE = 0.02

# Powers of two are whole hypercube families, whose scale is exact at once; 128 spans two decades.
N_AXIS = {"quick": (32, 128, 512, 2048, 8192, 16384), "full": tuple(2**k for k in range(5, 17))}
D_AXIS = {"quick": (8, 32, 128, 512, 1024), "full": tuple(2**k for k in range(3, 12))}
TWO_DECADES = 128
FIXED_D, FIXED_N = 32, 128
ROWS = 512


@dataclass(frozen=True)
class Team:
    """A compressor and its knob.

    ``knob``: the parameters at step k of ``steps(n, d)``, error falling in k; a knob called
    ``budget_bytes`` is the budget itself. ``fixed``: bits of its message that do not grow with the
    axis.
    """

    name: str
    steps: Callable[[int, int], int]
    knob: Callable[[int], dict[str, Any]]
    fixed: Callable[[str, int, int], int] = lambda axis, n, d: 0


def _quantizer_scales(axis: str, n: int, d: int) -> int:
    # A scale and a zero point in fp16 for each key and each value: 64 bits a token, none a channel.
    return 64 * n if axis == "d" else 0


TEAMS = (
    Team("sliding-window", lambda n, d: n, lambda k: {"window": k}),
    Team("reservoir", lambda n, d: n, lambda k: {"size": k}, lambda axis, n, d: 64),
    Team("quantized", lambda n, d: 4, lambda k: {"bits": 2 ** (k - 1)}, _quantizer_scales),
    Team("time-sharing", lambda n, d: n * d // 8, lambda k: {"budget_bytes": k}),
    Team("lossless", lambda n, d: 1, lambda k: {}),
)  # fmt: skip


def run(job: Run) -> None:
    """Fill the table; every probe is a row of the played file and is never played twice."""
    job.folder.mkdir(parents=True, exist_ok=True)
    path = job.folder / TABLE
    if path.exists():
        return
    searches = [Search(team, "n", n, FIXED_D) for n in N_AXIS[job.scale] for team in TEAMS]
    searches += [Search(team, "d", FIXED_N, d) for d in D_AXIS[job.scale] for team in TEAMS]
    with ResultsFile(job.folder / PLAYED) as store:
        while active := [search for search in searches if not search.found]:
            _probe(job, store, active)
            job.progress("scaling", len(searches) - len(active), len(searches))
    rows = [search.row() for search in searches]
    for row in rows:
        row["slope"] = _slope([r for r in rows if _curve(r) == _curve(row)])
    write_table(path, rows)


def _curve(row: dict[str, Any]) -> tuple[str, str]:
    return row["compressor"], row["axis"]


@dataclass
class Search:
    """The search for one team's smallest step at one size; ``verdict`` is that of ``high``.

    All the memory first, then where an error falling linearly from 1/2 would be 1/10, then outwards
    from there in strides that double, until bisection takes over.
    """

    team: Team
    axis: str
    n: int
    d: int

    def __post_init__(self) -> None:
        self.low, self.high = 0, self.team.steps(self.n, self.d)
        self.verdict: PointVerdict | None = None
        self.stride, self.downwards = 0, True

    @property
    def found(self) -> bool:
        """Whether ``high`` has been played and ``high - 1`` is known to be too small."""
        return self.verdict is not None and self.high - self.low <= 1

    @property
    def step(self) -> int:
        """The next step to play."""
        if self.verdict is None:
            return self.high
        middle = (self.low + self.high) // 2
        if not self.stride:
            return max(middle, round((1 - 2 * GUARANTEE) * self.high))
        if self.downwards:
            return max(middle, self.high - self.stride)
        return min(middle, self.low + self.stride)

    def cell(self) -> Cell:
        """The cell of that step."""
        instance = Instance(
            n=self.n, d=self.d, keys="hypercube", rows=ROWS if self.n > ROWS else None
        )
        params = self.team.knob(self.step)
        budget = None
        if "budget_bytes" in params:
            budget = Fraction(8 * params.pop("budget_bytes"), instance.shape.cache_bits_16)
        return Cell(instance, self.team.name, tuple(params.items()), budget)

    def take(self, verdict: PointVerdict) -> None:
        """Narrow the interval by the measured error of ``step``."""
        step, first, second = self.step, self.verdict is None, not self.stride
        self.downwards = verdict.bit_error.estimate <= GUARANTEE
        if self.downwards:
            self.high, self.verdict = step, verdict
        elif first:
            raise BadInput(f"{self.team.name} errs above 1/10 with all its memory: raise its knob.")
        else:
            self.low = step
        self.stride = 0 if first else 1 if second else 2 * self.stride

    def row(self) -> dict[str, Any]:
        """The line of the table."""
        assert self.verdict is not None
        return {
            "compressor": self.team.name,
            "axis": self.axis,
            "size": self.n if self.axis == "n" else self.d,
            "other": self.d if self.axis == "n" else self.n,
            "knob": self.high,
            "charged_bits": self.verdict.charged_bits // self.verdict.messages,
            "fixed_bits": self.team.fixed(self.axis, self.n, self.d),
            "bit_error": self.verdict.bit_error.estimate,
            "messages": self.verdict.messages,
            "floor_per_secret_bit": fano_rate(GUARANTEE),
        }


def _probe(job: Run, store: Results, searches: list[Search]) -> None:
    """Play the next step of every search, all at once."""
    cells = [search.cell() for search in searches]
    outcomes = run_cells(
        cells,
        store,
        stopping=FixedMessages(MESSAGES),
        keys="experiments",
        executor=job.executor,
        isolation="inline",
    )
    # Both axes pass through (128, 32): equal cells are played once.
    rows = {outcome.cell.id: outcome.rows for outcome in outcomes}
    for search, cell in zip(searches, cells, strict=True):
        search.take(judge_rows(rows[cell.id]))


def _slope(rows: list[dict[str, Any]]) -> float:
    """Least-squares slope in log-log over the two largest decades, fixed state subtracted."""
    sizes = np.array([float(row["size"]) for row in rows])
    bits = np.array([float(row["charged_bits"] - row["fixed_bits"]) for row in rows])
    chosen = sizes >= sizes.max() / TWO_DECADES
    return float(np.polyfit(np.log(sizes[chosen]), np.log(bits[chosen]), 1)[0])


def _slopes(axis: str, folder: Path) -> Judgement:
    table = read_table(folder, TABLE)
    table = table[table["axis"] == axis]
    slopes = {str(name): float(rows["slope"].iloc[0]) for name, rows in table.groupby("compressor")}
    sizes = sorted(table["size"])
    holds = all(abs(slope - 1.0) <= TOLERANCE for slope in slopes.values())
    listed = ", ".join(f"{name} {slope:.4f}" for name, slope in slopes.items())
    span = f"{axis} = {int(sizes[-1] / TWO_DECADES)} to {int(sizes[-1])}"
    return judge(holds, f"slopes over {span}: {listed}; {MESSAGES} messages a probe")


def _above_the_limit(folder: Path) -> Judgement:
    table = read_table(folder, TABLE)
    limit = table["size"] * table["other"] * table["floor_per_secret_bit"]
    ratio = float((table["charged_bits"] / limit).min())
    return judge(
        ratio >= 1.0, f"{len(table)} points; the nearest stands at {ratio:.3f} times the limit"
    )


EXPERIMENT = Experiment(
    name="scaling",
    title="Memory needed for error at most 1/10, against n and against d",
    run=run,
    claims=(
        Claim(
            "scaling.n",
            "Theorem 1",
            "These compressors' memory for measured error <= 1/10, fixed state "
            "subtracted, is linear in n (slope within .02 of 1)",
            "ours",
            (TABLE,),
            partial(_slopes, "n"),
        ),
        Claim(
            "scaling.d",
            "Theorem 1",
            "These compressors' memory for measured error <= 1/10, fixed state "
            "subtracted, is linear in d (slope within .02 of 1)",
            "ours",
            (TABLE,),
            partial(_slopes, "d"),
        ),
        Claim(
            "scaling.limit",
            "Theorem 1",
            "It never falls below n d (1 - h(1/10)) bits",
            "reconstructed",
            (TABLE,),
            _above_the_limit,
        ),
    ),
    minutes={"quick": 0.5, "full": 40},
)
