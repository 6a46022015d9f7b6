"""The least memory at which a compressor errs at most 1/10, by a search that plays every probe."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ...errors import BadInput
from ...protocols.evidence.verdicts import PointVerdict
from ...protocols.game.cell import Cell
from ...protocols.game.instances import Index
from ...reductions.bounds import fano_rate
from ...runs.points import judge_rows
from ...runs.results import ResultsFile
from .played import play
from .run import Run

GUARANTEE = 0.1
ROWS = 512


@dataclass(frozen=True)
class Team:
    """A compressor and its knob.

    ``knob``: the parameters at step k of ``steps(n, d)``, error falling in k; a knob called
    ``budget_bytes`` is the budget itself. ``fixed``: bits of its message that do not grow with the
    axis. ``most``: secret bits beyond which it takes too long to be played.
    """

    name: str
    steps: Callable[[int, int], int]
    knob: Callable[[int], dict[str, Any]]
    fixed: Callable[[str, int, int], int] = lambda axis, n, d: 0
    most: float = math.inf


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
        instance = Index(n=self.n, d=self.d, keys="hypercube", rows=ROWS if self.n > ROWS else None)
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


def find(job: Run, played: str, searches: Sequence[Search], messages: int) -> list[dict[str, Any]]:
    """Play all searches to their ends, each step of all at once; return their rows.

    Every probe is a row of the table ``played`` in the job's folder and is never played twice.
    """
    stage = played.removesuffix("-played.csv")
    with ResultsFile(job.folder / played) as store:
        while active := [search for search in searches if not search.found]:
            # Searches may pass through the same cell: it is played once.
            cells = [search.cell() for search in active]
            rows = {one.cell.id: one.rows for one in play(job, store, cells, messages)}
            for search, cell in zip(active, cells, strict=True):
                search.take(judge_rows(rows[cell.id]))
            job.progress(stage, sum(search.found for search in searches), len(searches))
    return [search.row() for search in searches]
