"""Cells of our own experiments: committed coins, inline, into a played table that is resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...protocols.game.cell import Cell
from ...runs.points import points_of
from ...runs.results import Results, ResultsFile, read_results, write_results
from ...runs.rows import BatchRow, newest
from ...runs.runner import CellOutcome, run_cells
from ...runs.stopping import FixedMessages
from .run import Run


@dataclass(frozen=True)
class Played:
    """A played table, and what is made of its rows, of the newest code each: points by default.

    ``Played(name, list)`` hands over the rows themselves.
    """

    name: str
    of: Callable[[list[BatchRow]], Any] = points_of

    def read(self, folder: Path) -> Any:
        """What the table of this folder holds; BadInput where it is missing.

        Claims and pictures ask for the same, and are given the same: they change nothing in it.
        """
        path = folder / self.name
        found = path.stat() if path.exists() else None
        file = found and (found.st_ino, found.st_mtime_ns, found.st_size)
        return _read(path, file, self.of)


@lru_cache(maxsize=2)
def _read(path: Path, _file: object, of: Callable[[list[BatchRow]], Any]) -> Any:
    return of(newest(read_results(path)))


def play_table(job: Run, table: str, cells: Sequence[Cell], messages: int) -> None:
    """Play every cell into ``job.folder / table``; batches it has already are not played again.

    What other code played of these cells leaves the table: its claims are about today's code, and
    that code, with the committed key, gives the same rows again.

    Raises:
        BadInput: another run is writing the table.
    """
    stage = table.removesuffix(".csv")
    path = job.folder / table
    with ResultsFile(path) as store:
        source = {one.cell.id: one.source for one in play(job, store, cells, messages, stage)}
        kept = [row for row in store.rows if source.get(row.cell, row.source) == row.source]
    if len(kept) < len(store.rows):
        write_results(path, kept)


def play(
    job: Run, store: Results, cells: Sequence[Cell], messages: int, stage: str | None = None
) -> list[CellOutcome]:
    """Play cells into a store; ``stage`` is who makes progress, None if the caller says so."""
    return run_cells(
        cells,
        store,
        stopping=FixedMessages(messages),
        keys="experiments",
        executor=job.executor,
        isolation="inline",
        progress=None if stage is None else lambda s: job.progress(stage, s.done, s.most),
    )
