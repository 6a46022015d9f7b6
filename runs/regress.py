"""Regression against committed baselines: the same messages again, through the public API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..protocols.game import coins
from ..protocols.game.cell import Cell, cell_of
from ..protocols.game.instance import compact
from .comparison import RegressReport, compare, refuse_powerless
from .host import host_facts, versions
from .results import Results, read_results
from .rows import BatchRow
from .runner import Facts, Step, run_cells
from .sign_test import LEVEL, MARGIN

if TYPE_CHECKING:
    from .batches import Play


@dataclass(frozen=True)
class _AsOften:
    """Play every cell as often as the baseline did (a ``Stopping``)."""

    batches: dict[str, int]

    def wanted(self, cell: Cell, rows: Sequence[BatchRow]) -> int:
        return self.batches[cell.id]

    def most(self, cell: Cell) -> int:
        return self.batches[cell.id]


def regress(
    baselines: Sequence[Path | str],
    *,
    batches: int | None = None,
    level: float = LEVEL,
    margin: float = MARGIN,
    executor: Executor | None = None,
    progress: Callable[[Step], None] | None = None,
    play: Play | None = None,
    facts: Callable[[Cell], Facts] | None = None,
) -> RegressReport:
    """Play the baselines' messages again, through the public API, and compare.

    ``batches`` limits every cell to its first few. Raises BadInput for a baseline that has fresh
    keys, gaps, too few messages to catch anything, or cells of another version, and what
    ``run_cells`` raises.
    """
    old = [row for path in baselines for row in read_results(path)]
    old = [row for row in old if batches is None or row.batch < batches]
    keys = sorted({row.key for row in old})
    plans = [(key, *_plan([row for row in old if row.key == key], key)) for key in keys]
    refuse_powerless(old, compact(host_facts()), compact(versions()), level)
    new: list[BatchRow] = []
    for key, cells, often in plans:
        store = Results()
        run_cells(
            cells, store, stopping=_AsOften(often), keys=key, executor=executor,
            progress=progress, play=play, facts=facts,
        )  # fmt: skip
        new += store.rows
    report = compare(old, new, level=level, margin=margin)
    report.refuse_blind()
    return report


def _plan(rows: Sequence[BatchRow], key: str) -> tuple[list[Cell], dict[str, int]]:
    if key not in coins.COMMITTED_KEYS:
        raise BadInput(
            "A baseline needs committed keys, and this file has fresh ones: "
            "measure the baseline with regress --update."
        )
    cells: dict[str, Cell] = {}
    seen: dict[str, list[int]] = {}
    for row in rows:
        cell = cell_of(row.spec_dict)
        cells[cell.id] = cell
        seen.setdefault(cell.id, []).append(row.batch)
        if cell.id != row.cell:
            raise BadInput(
                f"Cell {row.cell} was made by another version: measure the baseline again."
            )
    for id_, found in seen.items():
        if sorted(found) != list(range(len(found))):
            raise BadInput(
                f"Cell {id_} of the baseline has missing or repeated batches: "
                "measure the baseline again."
            )
    return list(cells.values()), {id_: len(found) for id_, found in seen.items()}
