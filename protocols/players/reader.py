"""The cells: they live here, with the harness, and leave only when a reader asks for them.

That is the log: what was handed out is what was read, and a cell outside the committed plan is
handed to nobody. An adaptive algorithm has no plan but a *walk*: the questions it asks, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import numpy as np

from ...compressors.readers.contract import KINDS, WHOLE, Float32, Indices, Plan, Reader

Cell = tuple[str, int, int | None]
Question = tuple[str, Indices, Indices]


class OutsidePlan(Exception):
    """Somebody asked for a cell that the committed plan does not have: (kind, index, coordinate).

    The coordinate is None where a whole row was asked of which a coordinate is not in the plan.
    """

    def __init__(self, cell: Cell) -> None:
        kind, index, coordinate = self.cell = cell
        which = "" if coordinate is None else f", coordinate {coordinate}"
        what = {"K": "key", "V": "value"}.get(kind, f"{kind!r}, which is not a kind of cell,")
        super().__init__(f"{what} {index}{which}")


class Cells:
    """K and V of one trial, behind a committed plan.

    Attributes:
        log: (kind, indices, coordinates) of every question, in order; coordinates are empty where
            whole rows were handed out.
        outside: the first cell outside the plan that was asked for, or None.
    """

    def __init__(self, plan: Plan, K: Float32, V: Float32) -> None:
        # A copy: whoever made the plan, or answers by it, may hold the array that it came in.
        self._plan = plan.cells.copy()
        self._whole = bool(self._plan.all())
        self._tables = {"K": K, "V": V}
        self.log: list[Question] = []
        self.outside: Cell | None = None

    def ask(self, kind: str, indices: Indices, coordinates: Indices) -> Float32:
        """Hand out single cells, float32[m], or rows, float32[m, d], where no coordinate is given.

        Raises:
            OutsidePlan: a cell is not in the plan; nothing is handed out, now or later.
        """
        wrong = self.outside or self._first_outside(kind, indices, coordinates)
        if wrong is not None:
            self.outside = wrong
            raise OutsidePlan(wrong)
        self.log.append((kind, indices, coordinates))
        # Indexing by arrays copies: what a reader writes into it stays with him.
        return self._held(kind, indices, coordinates)

    def _first_outside(self, kind: str, indices: Indices, coordinates: Indices) -> Cell | None:
        if kind not in KINDS:
            return kind, int(indices[0]) if len(indices) else WHOLE, None
        planned = self._plan[KINDS.index(kind)]
        n, d = planned.shape
        cells = len(coordinates) > 0
        there = (indices >= 0) & (indices < n)
        if cells:
            there &= (coordinates >= 0) & (coordinates < d)
        if self._whole and there.all():
            return None
        allowed = np.zeros(len(indices), dtype=np.bool_)
        i = indices[there]
        allowed[there] = planned[i, coordinates[there]] if cells else planned[i].all(axis=1)
        if allowed.all():
            return None
        at = int(np.flatnonzero(~allowed)[0])
        return kind, int(indices[at]), int(coordinates[at]) if cells else None

    def parts_from(self, walk: Cells) -> Cell | None:
        """The first question that differs from those of another walk with the same answers so far.

        None where there is none: up to the end, or to a cell whose contents differ. A question
        that comes too much counts, as does one that is lacking; a row has no coordinate.
        """
        for mine, theirs in zip_longest(self.log, walk.log):
            if mine is None or theirs is None or not _same(mine, theirs):
                kind, indices, coordinates = mine or theirs
                at = int(coordinates[0]) if len(coordinates) else None
                return kind, int(indices[0]) if len(indices) else WHOLE, at
            if not np.array_equal(self._held(*mine), walk._held(*theirs)):
                return None
        return None

    def _held(self, kind: str, indices: Indices, coordinates: Indices) -> Float32:
        table = self._tables[kind]
        return table[indices, coordinates] if len(coordinates) else table[indices]

    def read(self) -> Plan:
        """Exactly the cells that were handed out."""
        handed = np.zeros_like(self._plan)
        for kind, indices, coordinates in self.log:
            rows = handed[KINDS.index(kind)]
            if len(coordinates):
                rows[indices, coordinates] = True
            else:
                rows[indices] = True
        return Plan(handed)


def _same(one: Question, other: Question) -> bool:
    return one[0] == other[0] and all(map(np.array_equal, one[1:], other[1:]))


class AskingReader(Reader):
    """A reader whose questions go through a function: the cells', or a channel's."""

    def __init__(self, plan: Plan, seed: int, ask: Callable[[str, Indices, Indices], Any]) -> None:
        super().__init__(plan, seed)
        self._ask = ask

    def ask(self, kind: str, indices: Indices, coordinates: Indices) -> Float32:
        answer: Float32 = self._ask(kind, indices, coordinates)
        return answer
