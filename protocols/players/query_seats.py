"""Who plans and answers in the game of Theorem 19: in our process, or in processes of its own.

The harness's side. A foreign algorithm gets what every player gets (:mod:`.seats`): a keeper,
a host that imports it, a child forked for every trial, namespaces where there are any. The cells
stay on this side of the channel.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ...compressors.catalog import is_builtin
from ...compressors.plugin.answers import WrongAnswer, numbers
from ...compressors.plugin.contract import Float32, Shape
from ...compressors.readers.contract import Plan
from ...compressors.readers.targets import resolve_reader
from ...errors import HarnessFault, KVBarrierError, PluginFailure
from . import frames
from .isolation import Limits
from .play import Facts, PlayerFault, Table, fault_of
from .reader import AskingReader, Cells, OutsidePlan
from .seats import HostSeat, Place

ROLE = "The algorithm"


class QuerySeat(Protocol):
    """An algorithm at the table."""

    def sit(self, table: Table) -> Facts:
        """Find and build it once. Raises KVBarrierError."""

    def plan(self, seed: int) -> Plan | None:
        """Build a fresh one and ask for its plan; None: it is adaptive and has none.

        Raises PlayerFault, PluginFailure.
        """

    def answer(self, q: Float32, cells: Cells) -> Float32:
        """Let it answer, after ``plan``: float32[d], finite.

        Raises:
            OutsidePlan: it asked for a cell outside its plan.
            PlayerFault: whatever else it did.
        """

    def leave(self) -> str | None:
        """End it and all it started; return what is wrong if that could not be done."""


def table_of(target: str, params: Mapping[str, Any], n: int, d: int) -> Table:
    """What is public of an algorithm and the sizes it plays at."""
    return Table(target, os.getcwd(), dict(params), Shape(n, d, d, extra=0), None, {})


def make_seat(isolation: str, limits: Limits) -> QuerySeat:
    """A seat of that isolation; nothing is started before ``sit``."""
    if isolation == "inline":
        return InlineQuerySeat()
    return HostQuerySeat(Place.prepare(ROLE, isolation, limits, "query_host"), limits)


class InlineQuerySeat(QuerySeat):
    """In our own process: for built-ins, whose code we trust to read what it asks for."""

    def __init__(self) -> None:
        self._table: Any = None
        self._target: Any = None
        self._playing: tuple[Any, Plan | None, int] | None = None

    def sit(self, table: Table) -> Facts:
        self._table = table
        self._target = resolve_reader(self._table.target, self._table.params)
        make_plan(self._target.build(), self._table, 0)
        return facts_of(self._target, builtin=is_builtin(self._table.target))

    def plan(self, seed: int) -> Plan | None:
        algorithm = self._target.build()
        try:
            plan = make_plan(algorithm, self._table, seed)
        except (Exception, SystemExit) as exc:
            raise fault_of(exc, ROLE, builtin=is_builtin(self._table.target)) from exc
        self._playing = (algorithm, plan, seed)
        return plan

    def answer(self, q: Float32, cells: Cells) -> Float32:
        assert self._playing is not None
        algorithm, plan, seed = self._playing
        try:
            reader = AskingReader(plan or Plan.everything(*self._sizes()), seed, cells.ask)
            said = algorithm.answer(q, reader)
        except OutsidePlan:
            raise
        except (Exception, SystemExit) as exc:
            if cells.outside is None:
                raise fault_of(exc, ROLE, builtin=is_builtin(self._table.target)) from exc
        if cells.outside is not None:  # also if it swallowed the refusal
            raise OutsidePlan(cells.outside)
        return check_output(said, self._table.shape.d_v)

    def _sizes(self) -> tuple[int, int]:
        return self._table.shape.tokens, self._table.shape.d_v

    def leave(self) -> str | None:
        self._playing = None
        return None


class HostQuerySeat(HostSeat, QuerySeat):
    """In processes of its own; each question for cells comes over the channel."""

    def sit(self, table: Table) -> Facts:
        (opened,) = self.open([table])
        if isinstance(opened, KVBarrierError):
            raise opened
        return opened

    def plan(self, seed: int) -> Plan | None:
        if self._life is None:
            self._sit_again()
        n, d = self._sizes()
        size = (2 * n * d + 7) // 8
        packed = self._ask({"op": "plan", "seed": seed}, lambda said: frames.plan(said, size), size)
        return None if packed is None else Plan.unpack(packed, n, d)

    def answer(self, q: Float32, cells: Cells) -> Float32:  # type: ignore[override]
        order: dict[str, Any] = {"op": "answer", "q": q}
        n, d = self._sizes()
        deadline = self._deadline()
        while True:
            # An index and a coordinate of 8 bytes each, for every cell of K and of V at most twice.
            said = self._ask(
                order, lambda said: frames.answer_or_question(said, d), 64 * n * d, deadline
            )
            if isinstance(said, np.ndarray):
                return check_output(said, d)
            try:
                handed = cells.ask(*said)
            except OutsidePlan:
                # The child waits for cells that it will not get.
                self._ask({"op": "end"}, lambda said: frames.fields(said, "ended"))
                raise
            order = {"op": "cells", "cells": handed}

    def _sizes(self) -> tuple[int, int]:
        (table,) = self._tables
        return table.shape.tokens, table.shape.d_v

    def _facts_in(self, table: Table, said: Any) -> Facts:
        return frames.facts(said, builtin=is_builtin(table.target), engine=False)


# -- in whatever process the algorithm runs ---------------------------------------------------


def facts_of(target: Any, *, builtin: bool) -> Facts:
    """What a target says of itself; an algorithm of this kind has no message."""
    return Facts(target.name, target.source, builtin, False, None, False)


def make_plan(algorithm: Any, table: Table, seed: int) -> Plan | None:
    """Its plan for the table's sizes; None if it has no ``plan``, because it chooses as it reads.

    Raises PluginFailure for what is no plan.
    """
    n, d = table.shape.tokens, table.shape.d_v
    if not hasattr(algorithm, "plan"):
        return None
    try:
        return Plan.of(algorithm.plan(n, d, seed), n, d)
    except KVBarrierError:
        raise
    except Exception as exc:
        fault = fault_of(exc, "plan")
        raise fault if isinstance(fault, HarnessFault) else PluginFailure(str(fault)) from exc


def check_output(said: Any, d: int) -> Float32:
    """An answer as float32[d].

    Raises:
        PlayerFault: it is none, or not finite.
    """
    try:
        return numbers(said, (d,), "answer")
    except WrongAnswer as wrong:
        raise PlayerFault(str(wrong)) from wrong
