"""Playing cells: every batch is a call submitted to an Executor, every result a row of a store.

What is played is a pure function of the cells, the keys and the stopping rule: a resumed run equals
an uninterrupted one, on any workers and in any order. Batches of the same cell and source that the
store already has are not played again.
"""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING

from ..compressors.catalog import is_builtin
from ..errors import BadInput, BudgetTooSmall, KVBarrierError, PluginFailure, did_you_mean
from ..protocols.game import coins
from ..protocols.game.cell import Batch, Cell, target_name
from ..protocols.game.coins import Keyring, Place
from .batches import Outcome, Refused, Task, shares, work_alone, work_together
from .executors import SerialExecutor
from .interrupts import Interrupted, StopRequest, stop_requests
from .results import Results, ResultsWarning
from .room import is_long
from .rows import BatchRow, prefix
from .stopping import Stopping

if TYPE_CHECKING:
    from ..protocols.game.index_game import Session
    from ..protocols.players.isolation import Limits
    from .batches import Play, PlayAll, shares

IN_FLIGHT = 4096
"""How many batches of a target wait at most for one of them to end: a rule may want 10^12."""

GRACE_SECONDS = 4.0
"""How long a stopped run waits for batches that are being played."""


@dataclass(frozen=True)
class Facts:
    """What is known about a target before play.

    The digest of its code, if it is a built-in, and the words of the declaration that holds.
    """

    source: str
    builtin: bool
    declares: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Step:
    """One more batch, for progress. ``most`` is an upper bound while a rule depends on data."""

    done: int
    most: int
    cell: Cell
    row: BatchRow | None


@dataclass(frozen=True)
class CellOutcome:
    """The result of one cell: its contiguous rows, or why it could not be played.

    ``refused``: the sentence of a compressor that does not fit into its budget; then there are no
    rows.
    """

    cell: Cell
    source: str
    rows: tuple[BatchRow, ...]
    refused: BudgetTooSmall | None = None


@dataclass
class _Line:
    """The state of one cell during a run."""

    cell: Cell
    facts: Facts
    isolation: str
    committed: str | None
    rows: dict[int, BatchRow]
    goal: int
    running: set[int] = field(default_factory=set)
    refused: BudgetTooSmall | None = None
    alone: bool = True
    rehearsed: float | None = None
    place: int = 0
    ring: Keyring | None = None

    def key(self, batch: int) -> tuple[bytes, str]:
        """The master key of a batch, and how a row names it."""
        if self.committed is not None:
            return coins.COMMITTED_KEYS[self.committed], self.committed
        fresh = coins.fresh_key() if self.ring is None else self.ring.key(self._place(batch))
        return fresh, fresh.hex()

    def share(self, ring: Keyring, place: int) -> bool:
        """Draw from a ring from now on; False if a batch that is there has another key."""
        self.ring, self.place = ring, place
        learnt = [ring.learn(self._place(i), row.master_key) for i, row in self.rows.items()]
        return all(learnt)

    def _place(self, batch: int) -> Place:
        return self.cell.instance.id, self.cell.budget, self.place, batch

    def seconds(self) -> float:
        """How long a batch should take, by those that were played or by the rehearsal.

        For ever, if nobody knows, or if it is played alone, as that of a long stream is.
        """
        if is_long(self.cell.instance):
            return math.inf
        if self.rows and not self.alone:
            return sum(row.seconds for row in self.rows.values()) / len(self.rows)
        if self.alone or self.rehearsed is None:
            return math.inf
        return self.rehearsed * self.cell.batch_size


@dataclass(frozen=True)
class _Job:
    """A batch of a cell that is being played."""

    line: _Line
    task: Task

    @property
    def number(self) -> int:
        """The batch's index in its cell."""
        return self.task.batch.number


def run_cells(
    cells: Iterable[Cell],
    store: Results,
    *,
    stopping: Stopping,
    keys: str = "auto",
    executor: Executor | None = None,
    isolation: str | None = None,
    limits: Limits | None = None,
    progress: Callable[[Step], None] | None = None,
    play: Play | None = None,
    facts: Callable[[Cell], Facts] | None = None,
    session: Session | None = None,
    pairs: int = 1,
    keyring: Keyring | None = None,
) -> list[CellOutcome]:
    """Play cells until ``stopping`` has enough of each; the outcomes are in the order of the cells.

    ``keys``: ``auto`` (a fresh key for every batch of a foreign plug-in, the committed key
    "experiments" for our own compressors), ``fresh``, or the name of a committed key. A fresh key
    is written with the batch's row, after its last answer; ``keyring`` has those that targets
    share. ``isolation`` None takes each target's default. ``play`` and ``facts`` default to the
    Index game and the catalog of targets.

    Where players have processes of their own, one pair plays batches of several cells of a target,
    as many as should take ``TOGETHER_SECONDS``, and ``pairs`` pairs share what should take longer
    than they take to start. ``session`` has a pair that is there already; it plays the first share.

    SIGINT and SIGTERM stop new submissions, running batches have ``GRACE_SECONDS`` to end, and
    Interrupted is raised; a batch that then ends with a failed message is dropped, because the
    signal may have reached its players. An error of ours, or of a plug-in before any secret is
    drawn, stops the run in the same way and is raised. A cell whose budget is too small is refused
    and the others continue.
    """
    doer = executor or SerialExecutor()
    lines = _lines(cells, store, stopping, keys, isolation, facts or target_facts)
    if keyring is not None:
        _share_keys(lines, keyring, store.where)
    for line in lines:
        line.alone = play is not None or line.isolation == "inline"
        line.rehearsed = None if session is None else session.seconds
    seated = None if session is None else [session]

    def submit(jobs: Sequence[_Job]) -> Future[list[Outcome]]:
        tasks, how = [job.task for job in jobs], jobs[0].line.isolation
        if jobs[0].line.alone:
            return doer.submit(work_alone, play or _index_game(), tasks, how, limits)
        return doer.submit(work_together, _one_pair(seated), tasks, how, limits)

    def tell(line: _Line, row: BatchRow | None) -> None:
        if progress is not None:
            done = sum(len(line.rows) for line in lines)
            progress(Step(done, max(done, sum(line.goal for line in lines)), line.cell, row))

    with stop_requests() as stop:
        _Run(store, stopping, submit, tell, stop, pairs).work(_companies(lines))
    return [
        CellOutcome(line.cell, line.facts.source, tuple(prefix(line.rows)), line.refused)
        for line in lines
    ]


def target_facts(cell: Cell) -> Facts:
    """The facts of a cell's target, from its name or file. Raises BadInput if it does not exist."""
    from ..compressors.targets import resolve

    return Facts(resolve(cell.target).source, is_builtin(cell.target))


def _index_game() -> Play:
    from ..protocols.game.index_game import play_batch

    return play_batch


def _one_pair(seated: list[Session] | None) -> PlayAll:
    """The pair that sits already, the first time; then one that starts for the purpose."""
    from ..protocols.game.index_game import play_all

    if not seated:
        return play_all
    session = seated.pop()
    return lambda batches, *_: session.play(batches)


def _companies(lines: Sequence[_Line]) -> list[list[_Line]]:
    """The cells that one pair of players may play: of one target, and in processes."""
    companies: dict[object, list[_Line]] = {}
    for line in lines:
        company = line.cell.id if line.alone else (line.cell.target, line.isolation)
        companies.setdefault(company, []).append(line)
    return list(companies.values())


def _lines(
    cells: Iterable[Cell],
    store: Results,
    stopping: Stopping,
    keys: str,
    isolation: str | None,
    facts: Callable[[Cell], Facts],
) -> list[_Line]:
    from ..protocols.players.isolation import default_isolation

    known = ("auto", "fresh", *coins.COMMITTED_KEYS)
    if keys not in known:
        raise BadInput(f"There is no key '{keys}'.{did_you_mean(keys, known)}")
    lines = []
    for cell in {cell.id: cell for cell in cells}.values():
        about = facts(cell)
        line = _Line(
            cell,
            about,
            isolation or default_isolation(about.builtin),
            _committed(keys, cell, about.builtin),
            store.batches(cell.id, about.source),
            stopping.most(cell),
        )
        for row in line.rows.values():
            _refuse_other_key(row, line.committed, store.where)
        lines.append(line)
    return lines


def _committed(keys: str, cell: Cell, builtin: bool) -> str | None:
    """The name of the committed key to draw from; None for fresh keys."""
    if keys == "fresh" or (keys == "auto" and not builtin):
        return None
    if not builtin:
        raise BadInput(
            f"'{cell.target}' is not a built-in and could have read the committed key "
            f"'{keys}': set keys to 'auto' or 'fresh'."
        )
    return "experiments" if keys == "auto" else keys


def _refuse_other_key(row: BatchRow, committed: str | None, where: str) -> None:
    drawn = row.key if row.key in coins.COMMITTED_KEYS else None
    if drawn != committed:
        raise BadInput(
            f"{where} holds batches of '{row.compressor}' drawn from {_key_words(drawn)}, but "
            f"this run draws from {_key_words(committed)}: use another file."
        )


def _share_keys(lines: Sequence[_Line], ring: Keyring, where: str) -> None:
    places = Counter[tuple[str, str, Fraction | None]]()
    apart = []
    for line in lines:
        cell = line.cell
        whose = cell.target, cell.instance.id, cell.budget
        if not line.share(ring, places[whose]):
            apart.append(target_name(cell.target))
        places[whose] += 1
    for name in dict.fromkeys(apart):
        warnings.warn(
            f"{where} has messages of {name} with other secrets than those of the targets before "
            "it: they count, and the comparison is not of the same secrets.",
            ResultsWarning,
            stacklevel=3,
        )


def _key_words(name: str | None) -> str:
    return "fresh keys" if name is None else f"the committed key '{name}'"


class _Run:
    """One run: submits batches, takes their rows in as they end."""

    def __init__(
        self,
        store: Results,
        stopping: Stopping,
        submit: Callable[[Sequence[_Job]], Future[list[Outcome]]],
        tell: Callable[[_Line, BatchRow | None], None],
        stop: StopRequest,
        pairs: int,
    ) -> None:
        self.pairs = pairs
        self.store = store
        self.stopping = stopping
        self.submit = submit
        self.tell = tell
        self.stop = stop
        self.running: dict[Future[list[Outcome]], list[_Job]] = {}
        self.kept = 0

    def work(self, companies: list[list[_Line]]) -> None:
        """Play everything wanted, or raise what stopped it."""
        try:
            for lines in companies:
                self._submit_wanted(lines)
            while self.running and not self.stop:
                self._collect(timeout=0.2)
            if self.stop:
                self._finish_running()
        except KeyboardInterrupt:
            if not self.stop:
                raise
        finally:
            self._cancel()
        if self.stop.signum is not None:
            lost = sum(map(len, self.running.values()))
            raise Interrupted(self.stop.signum, self.kept, lost, self.store.where)

    @staticmethod
    def _is_drawn_anew(line: _Line, row: BatchRow) -> bool:
        """Whether a batch that ends after a signal is dropped.

        With fresh keys every one is, whatever came of it: keeping the good ones would be selection.
        With a committed key the same messages come back, and a failure may be the signal's.
        """
        return line.committed is None or any(row.failed)

    def _submit_wanted(self, lines: Sequence[_Line]) -> None:
        """Submit what is wanted of cells and neither there nor being played."""
        while not self.stop:
            wanted: list[tuple[_Line, int]] = []
            room = IN_FLIGHT - sum(len(line.running) for line in lines)
            for line in lines:
                if line.refused is None and room > len(wanted):
                    batches = range(self.stopping.wanted(line.cell, prefix(line.rows)))
                    new = (b for b in batches if b not in line.rows and b not in line.running)
                    before = len(wanted)
                    wanted += [(line, batch) for batch in islice(new, room - before)]
                    if len(wanted) == before:
                        line.goal = line.goal if line.running else len(line.rows)
            for share in shares(wanted, [line.seconds() for line, _ in wanted], self.pairs):
                share = [(line, batch) for line, batch in share if line.refused is None]
                if share and not self.stop:
                    self._submit(share)
            if not wanted:
                return

    def _submit(self, share: Sequence[tuple[_Line, int]]) -> None:
        jobs = []
        for line, number in share:
            key, named = line.key(number)
            facts, batch = line.facts, Batch(line.cell, key, number)
            task = Task(batch, facts.source, named, facts.declares)
            jobs.append(_Job(line, task))
            line.running.add(number)
        future = self.submit(jobs)
        self.running[future] = jobs
        if future.done():  # a serial executor: keep each row before the next batch is played
            self._take(future)

    def _collect(self, timeout: float) -> None:
        done, _ = wait(self.running, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=lambda f: self.running[f][0].number):
            self._submit_wanted(self._take(future))

    def _take(self, future: Future[list[Outcome]]) -> list[_Line]:
        """Take what was played together in: rows in the store, or refusals."""
        jobs = self.running.pop(future)
        lines = list({id(job.line): job.line for job in jobs}.values())
        for job in jobs:
            job.line.running.discard(job.number)
        if self.stop and future.exception() is not None:
            return lines
        try:
            outcomes = future.result()
        except BrokenExecutor as error:
            raise PluginFailure(
                f"A worker process died while it played '{lines[0].cell.target}' (out of memory?): "
                "use fewer workers, or a smaller n or d."
            ) from error
        errors = []
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, KVBarrierError):
                errors.append(outcome)
            else:
                self._take_one(job, outcome)
        if errors and not self.stop:
            raise errors[0]
        return lines

    def _take_one(self, job: _Job, outcome: BatchRow | Refused) -> None:
        line = job.line
        if isinstance(outcome, Refused):
            line.refused, line.goal = outcome.error(), 0
            self.tell(line, None)
        elif not (self.stop and self._is_drawn_anew(line, outcome)):
            self.store.append(outcome)
            self.kept += 1
            line.rows[job.number] = outcome
            if not line.running and self._enough(line):
                line.goal = len(line.rows)
            self.tell(line, outcome)

    def _enough(self, line: _Line) -> bool:
        return self.stopping.wanted(line.cell, prefix(line.rows)) <= len(line.rows)

    def _finish_running(self) -> None:
        self._cancel()
        deadline = time.monotonic() + GRACE_SECONDS
        while self.running and time.monotonic() < deadline:
            self._collect(timeout=0.1)

    def _cancel(self) -> None:
        for future in list(self.running):
            if future.cancel():
                for job in self.running.pop(future):
                    job.line.running.discard(job.number)
