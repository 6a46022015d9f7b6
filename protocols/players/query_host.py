"""The host of one algorithm that reads: imports it once, forks a fresh child for every trial.

It carries frames between the harness and the child and reads none of the cells in them. A child
lives from its plan (an empty one, if it is adaptive) to its answer; a crash, a hang or a full
memory ends one child.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ...compressors.catalog import is_builtin
from ...compressors.plugin.contract import Float32
from ...compressors.readers.contract import KINDS, Indices, Plan
from ...compressors.readers.targets import ReadTarget, resolve_reader
from .channel import Body, Channel, ChannelClosed, unpack
from .child import Child
from .host import Host, failure, refusal, sent_tables, serve_with
from .play import PlayerFault, Table
from .query_seats import ROLE, check_output, facts_of, make_plan
from .reader import AskingReader


def serve(role: str, fd: int, words: int) -> int:
    """Host the algorithm; see :func:`.host.serve_with`."""
    return serve_with(_QueryHost, role, fd, words)


class _QueryHost(Host):
    table: Table

    def run(self, opening: dict[str, Any]) -> int:
        (self.table,) = sent_tables(opening)
        try:
            with self.importing(self.table):
                target = resolve_reader(self.table.target, self.table.params)
        except BaseException as exc:
            self.channel.send(refusal(exc, ROLE))
            return 1
        self.settle(target.folder)
        self.builtin = is_builtin(target.text)
        self.channel.send(self._rehearse(target))
        while True:
            body = self.channel.body()
            order = unpack(body)
            if order["op"] == "plan":
                self.end()
                self.child = Child(lambda c: _play(c, target, self), self.conduct)
            self.channel.send(self._carry(order["op"], body))

    def _rehearse(self, target: ReadTarget) -> dict[str, Any]:
        """Its facts, if it can be built and plans."""
        self.child = Child(lambda channel: _first_plan(channel, target, self), self.conduct)
        try:
            said: dict[str, Any] = self.child.hear()[0]
            return said
        except PlayerFault as fault:
            return {"error": "PluginFailure", "text": f"{target.name} has no plan: {fault}"}
        finally:
            self.end()

    def _carry(self, op: str, body: Body) -> dict[str, Any]:
        """Take an order to the child and return what it says; its last word ends it."""
        if self.child is None:
            return {"failed": f"{self.conduct.role} had already ended."}
        if op == "end":
            self.end()
            return {"ended": True}
        try:
            self.child.tell(body)
            said: dict[str, Any] = self.child.hear()[0]
        except PlayerFault as fault:
            said = {"failed": str(fault)}
        if type(said) is not dict or said.keys() & {"answer", "failed", "error"}:
            self.end()
        return said


# -- in the child -----------------------------------------------------------------------------


def _first_plan(channel: Channel, target: ReadTarget, host: _QueryHost) -> None:
    try:
        make_plan(target.build(), host.table, 0)
        channel.send({"facts": asdict(facts_of(target, builtin=is_builtin(target.text)))})
    except BaseException as exc:
        channel.send(refusal(exc, ROLE, host.conduct.folder))


def _play(channel: Channel, target: ReadTarget, host: _QueryHost) -> None:
    try:
        algorithm = target.build()
        seed = channel.receive()["seed"]
        plan = make_plan(algorithm, host.table, seed)
        channel.send({"plan": b"" if plan is None else plan.pack()})
        q = channel.receive()["q"]
        n, d = host.table.shape.tokens, host.table.shape.d_v
        questions = _Questions(channel, plan)
        reader = AskingReader(plan or Plan.everything(n, d), seed, questions.ask)
        said = algorithm.answer(q, reader)
        channel.send({"answer": check_output(said, host.table.shape.d_v)})
    except ChannelClosed:
        return
    except BaseException as exc:
        channel.send(failure(exc, host))


class _Questions:
    """Asks the harness; one row or cell at a time would be a journey each.

    So the first question for a single one asks for all of its kind that the plan has, at once.
    What lies outside the plan is still asked for by name, and refused. Without a plan every cell
    asked for counts, so nothing is fetched that was not.
    """

    def __init__(self, channel: Channel, plan: Plan | None) -> None:
        self._channel = channel
        self._plan = plan
        self._fetched: dict[str, Float32] = {}

    def ask(self, kind: str, indices: Indices, coordinates: Indices) -> Float32:
        if self._plan is None or kind not in KINDS or len(indices) != 1:
            return self._over_the_channel(kind, indices, coordinates)
        where = (indices, coordinates) if len(coordinates) else indices
        n, d = self._plan.cells.shape[1:]
        inside = 0 <= indices[0] < n and (len(coordinates) == 0 or 0 <= coordinates[0] < d)
        if not inside or not self._plan.cells[KINDS.index(kind)][where].all():
            return self._over_the_channel(kind, indices, coordinates)
        if kind not in self._fetched:
            self._fetched[kind] = self._all(self._plan, kind)
        return np.asarray(self._fetched[kind][where])

    def _all(self, plan: Plan, kind: str) -> Float32:
        i, j = np.nonzero(plan.cells[KINDS.index(kind)])
        table = np.zeros(plan.cells.shape[1:], dtype=np.float32)
        table[i, j] = self._over_the_channel(kind, i, j)
        return table

    def _over_the_channel(self, kind: str, indices: Indices, coordinates: Indices) -> Float32:
        self._channel.send({"ask": [kind, indices, coordinates]})
        cells: Float32 = self._channel.receive()["cells"]
        return cells
