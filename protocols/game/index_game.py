"""The Index game: Alice streams x, Bob is asked for rows of it, and every drawn message counts.

Alice gets the stream of x and hands over bytes. Only when nothing of her lives any more does Bob
begin; every question is answered from its own copy of what she handed over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...compressors.engines.schemes import is_engine
from ...errors import HarnessFault, KVBarrierError
from ..evidence.record import MessageRecord, Reading
from ..players.channel import charged_bits
from ..players.isolation import Limits, NoNamespaces, check_name, learn_namespaces
from ..players.pair import at_the_table, prepared, seated_after
from ..players.play import Facts, Table
from ..players.seat import Opened, Seat
from . import coins
from .cell import Batch, Cell
from .instance import needs_of
from .referee import Referee
from .referee import Sent as Sent


@dataclass(frozen=True)
class BatchRecord:
    """A batch: its messages in order, and how it was played.

    ``source`` is the digest of the compressor's code, ``streaming`` what it says of itself.
    ``versions`` and ``memories`` are an engine's: the packages that did the work, and what the
    cache of the batch's last message occupied (``compressors.engines.memories``).
    """

    records: tuple[MessageRecord, ...]
    seconds: float
    isolation: str
    streaming: bool
    source: str
    versions: Mapping[str, str] = field(default_factory=dict)
    memories: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Rehearsal:
    """What came of a message that counts for nothing; the sentence if it ``failed``."""

    facts: Facts
    failed: str | None
    memories: Mapping[str, Any] | None


def play_batch(
    cell: Cell, key: bytes, batch: int, isolation: str, limits: Limits | None = None
) -> BatchRecord:
    """Play messages ``batch * batch_size`` and on, of a cell, under a master key.

    Several batches may be played from threads at once.

    Raises:
        BadInput, NoScale, BudgetTooSmall, PluginFailure: before any secret is drawn. After that
            what fails is a failed message.
        HarnessFault: our own code failed, at any time; that is no message's failure.
    """
    (played,) = play_all([Batch(cell, key, batch)], isolation, limits)
    if isinstance(played, KVBarrierError):
        raise played
    return played


def play_all(
    batches: Sequence[Batch], isolation: str, limits: Limits | None = None, *,
    together: bool = False,
) -> list[BatchRecord | KVBarrierError]:  # fmt: skip
    """Play batches with one pair of players; see :meth:`Session.play`.

    With ``together`` a stranger's Bob is asked all rows of a sample at once, and sees which they
    are: judge that with ``rows_apart=False``. Otherwise each row is asked of a Bob of its own.
    """
    with Session(isolation, limits, together=together) as session:
        return session.play(batches)


def read_message(
    cell: Cell, key: bytes, number: int, isolation: str, limits: Limits | None = None
) -> Reading | str:
    """Play message ``number`` alone, and return what was read of it; a str is a fault.

    The same secret and coins as in any batch. Raises what :func:`play_batch` raises.
    """
    with Session(isolation, limits) as session:
        return session.read(Batch(replace(cell, batch_size=1), key, number))


def written(
    cell: Cell, key: bytes, numbers: range, isolation: str, limits: Limits | None = None
) -> list[Sent | str]:
    """What Alice alone hands over for these messages; a str is a fault.

    Raises what :func:`play_batch` raises.
    """
    with Session(isolation, limits) as session:
        return session.written(cell, key, numbers)


def probe_construction(cell: Cell, isolation: str, limits: Limits | None = None) -> Facts:
    """Construct the cell's compressor in a player, and return what it declares.

    Raises:
        BudgetTooSmall: it cannot live in the cell's budget.
        BadInput, NoScale: there is no such target or instance.
        PluginFailure: its construction failed.
    """
    with Session(isolation, limits) as session:
        (found,) = session.probe([cell])
    if isinstance(found, KVBarrierError):
        raise found
    return found


class Session:
    """One pair of players, who import their packages once: to probe, to rehearse, to play once.

    All cells must be played by one interpreter. Each batch has a key of its own: what Bob held of
    one message says nothing about another.

    ``isolation`` None is what can be had for foreign code: who begins finds out. Raises BadInput
    for one that there is not, and once somebody begins for one that cannot be had.
    """

    def __init__(
        self, isolation: str | None, limits: Limits | None = None, *, together: bool = False
    ) -> None:
        self._may_fall_back, self._together = isolation is None, together
        self._isolation = isolation or "namespaces"
        check_name(self._isolation)
        self._limits = limits or Limits()
        self._players: tuple[Seat, Seat] | None = None
        self._pair = ExitStack()
        self._alices_time = ExitStack()
        self._playing = False
        self._opened: dict[Cell, tuple[Table, Opened]] = {}
        self.seconds: float | None = None
        """How long the slowest message took that was rehearsed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Have both players gone; whoever plays meanwhile, in another thread, sees to it alone."""
        if not self._playing:
            self._end()

    def _end(self) -> None:
        self._alices_time.close()
        self._pair.close()

    def probe(self, cells: Sequence[Cell]) -> list[Opened]:
        """Construct compressors in a player: what they declare, or why they cannot be built.

        Raises BadInput for an instance that there is not, or an engine that is not installed, and
        HarnessFault if our own code failed.
        """
        names = [replace(cell, batch_size=1) for cell in cells]
        new = [name for name in dict.fromkeys(names) if name not in self._opened]
        if new:
            tables = [_table(cell) for cell in new]
            opened = self._open(tables)
            for one in opened:
                if isinstance(one, HarnessFault):  # before any secret: nobody gains by saying so
                    raise one
            pairs = zip(tables, opened, strict=True)
            self._opened.update(zip(new, pairs, strict=True))
        return [self._opened[name][1] for name in names]

    @property
    def isolation(self) -> str:
        """How they are kept apart; of an isolation None that is known once something was probed."""
        return self._isolation

    def _open(self, tables: Sequence[Table]) -> list[Opened]:
        """Have Alice open tables; where there are no namespaces, as another Alice."""
        try:
            opened = self._alice(tables[0]).open(tables)
        except NoNamespaces as error:
            learn_namespaces(error.reason)
            if not self._may_fall_back:
                raise
            self._end()
            self._players, self._isolation = None, "process"
            return self._alice(tables[0]).open(tables)
        if self._isolation == "namespaces":
            learn_namespaces(None)
        return opened

    def rehearse(self, cell: Cell) -> Rehearsal:
        """Play one message that counts for nothing, from a key that is thrown away.

        All in Alice's house, before any secret is drawn, and in the process of the other
        rehearsals. Should it fail there, it is played once more: then who goes on after half of a
        stream and who answers are children of her host, with nothing but the message.

        Raises KVBarrierError if the cell's compressor cannot be built.
        """
        found = self._rehearse(cell, together=not is_engine(cell.target))
        if found.failed:
            # What others left in the process that they share may be why.
            found = self._rehearse(cell, together=False)
        return found

    def weigh(self, cell: Cell) -> tuple[Facts, int] | None:
        """What a message that counts for nothing costs, in bits, and the facts of who wrote it.

        Nobody is asked: that would take the square of the stream's length; nor does one that ships
        with us write what it declares the length of. None if Alice fails.

        Raises KVBarrierError if the cell's compressor cannot be built.
        """
        (found,) = self.probe([cell])
        if isinstance(found, Facts) and found.builtin and found.message_bytes is not None:
            return found, charged_bits(found.message_bytes, found.message_bytes)
        for together in dict.fromkeys((not is_engine(cell.target), False)):
            line, _ = self._rehearsed(cell, together)
            (sent,) = line.sent
            if isinstance(sent, Sent):
                assert isinstance(line.facts, Facts)
                return line.facts, sent.charged
        return None

    def _rehearse(self, cell: Cell, together: bool) -> Rehearsal:
        line, alice = self._rehearsed(cell, together)
        assert isinstance(line.facts, Facts)
        line.ask(alice, "")
        record = line.record(self._isolation, None)
        self.seconds = max(record.seconds, self.seconds or 0.0)
        (one,) = record.records
        return Rehearsal(line.facts, one.failed, record.memories)

    def _rehearsed(self, cell: Cell, together: bool) -> tuple[_Line, Seat]:
        """Alice's part of a rehearsal."""
        batch = Batch(replace(cell, batch_size=1), coins.fresh_key(), 0)
        line = self._line(batch, rehearsal=together)
        if isinstance(line.facts, KVBarrierError):
            raise line.facts
        alice = self._alice(line.table)
        line.write(alice)
        line.finish(alice, "")
        return line, alice

    def play(self, batches: Sequence[Batch]) -> list[BatchRecord | KVBarrierError]:
        """Play batches, and end the session.

        Alice plays all of them and is gone before Bob begins. A cell that cannot be built is an
        error in its place, and the others are played.

        Raises BadInput for a key, and what :meth:`probe` raises.
        """
        lines, trouble = self._play(batches)
        return [
            line.facts if isinstance(line.facts, KVBarrierError)
            else line.record(self._isolation, trouble)
            for line in lines
        ]  # fmt: skip

    def read(self, batch: Batch) -> Reading | str:
        """Play one message, see what was read of it, and end the session; a str is a fault.

        Raises what :meth:`play` raises, and KVBarrierError for a cell that cannot be built.
        """
        (line,), trouble = self._play([batch], outputs=True)
        if isinstance(line.facts, KVBarrierError):
            raise line.facts
        return trouble or line.reading()

    def _play(
        self, batches: Sequence[Batch], *, outputs: bool = False
    ) -> tuple[list[_Line], str | None]:
        """The batches as they were played, and why nothing that was said counts."""
        for batch in batches:
            coins.check_key(batch.key)
        self._playing = True
        try:
            self.probe([batch.cell for batch in batches])
            lines = [self._line(batch, outputs=outputs) for batch in batches]
            trouble = self._write([line for line in lines if isinstance(line.facts, Facts)])
            assert self._players is not None
            bob = self._players[1]
            with at_the_table("Bob", bob, self._isolation):
                asked = [line for line in lines if not trouble and line.is_written()]
                for line in lines:
                    line.fail(trouble)
                for line, why in zip(asked, _seated(bob, asked, "Bob", "Alice"), strict=True):
                    line.ask(bob, why)
                trouble = bob.leave()
            return lines, trouble
        finally:
            self._playing = False
            self._end()

    def written(self, cell: Cell, key: bytes, numbers: range) -> list[Sent | str]:
        """What Alice alone hands over for these messages, and end the session."""
        (facts,) = self.probe([cell])
        if isinstance(facts, KVBarrierError):
            raise facts
        line = self._line(Batch(cell, key, 0))
        line.numbers = numbers
        line.fail(self._write([line]))
        return line.sent

    def _write(self, lines: Sequence[_Line]) -> str | None:
        """Alice's part; of streams that are cut the second half by somebody who saw no first."""
        if self._players is None:
            return None
        alice = self._players[0]
        with self._alices_time:
            for line in lines:
                line.write(alice)
        with at_the_table("Alice again", alice, self._isolation):
            cut = [line for line in lines if line.halves()]
            who = "the second half of a stream"
            for line, why in zip(cut, _seated(alice, cut, who, "the first"), strict=True):
                line.finish(alice, why)
            return alice.leave()

    def _alice(self, table: Table) -> Seat:
        """Alice, from the first question on; no Bob of ours lives meanwhile."""
        if self._players is None:
            pair = self._pair.enter_context(prepared(table, self._isolation, self._limits))
            self._players = pair
            self._alices_time.enter_context(at_the_table("Alice", pair[0], self._isolation))
        return self._players[0]

    def _line(self, batch: Batch, *, outputs: bool = False, rehearsal: bool = False) -> _Line:
        self.probe([batch.cell])
        table, facts = self._opened[replace(batch.cell, batch_size=1)]
        size = batch.cell.batch_size
        numbers = range(batch.number * size, (batch.number + 1) * size)
        referee = Referee(
            batch.cell, batch.key, outputs=outputs, rehearsal=rehearsal, together=self._together
        )
        return _Line(referee, table, facts, numbers)


def _seated(seat: Seat, lines: Sequence[_Line], who: str, first: str) -> list[str]:
    """Have a player begin after another one, at all tables; for each line "" or what is wrong."""
    if not lines:
        return []
    facts = {id(line.table): line.facts for line in lines if isinstance(line.facts, Facts)}
    tables = list({id(line.table): line.table for line in lines}.values())
    troubles = seated_after(seat, tables, list(facts.values()), who, first)
    of_table = dict(zip(facts, troubles, strict=True))
    return [of_table[id(line.table)] for line in lines]


def _table(cell: Cell) -> Table:
    return Table(
        target=cell.target,
        folder=os.getcwd(),
        params=dict(cell.params),
        shape=cell.instance.shape,
        budget_bits=cell.budget_bits,
        public=cell.instance.build().public(),
        needs=needs_of(cell.instance),
    )


class _Line:
    """One batch of a play: what Alice wrote, what Bob said, and what it took."""

    def __init__(self, referee: Referee, table: Table, facts: Opened, numbers: range) -> None:
        self.table = table
        self.facts = facts
        self.numbers = numbers
        self.sent: list[Sent | str] = []
        self._referee = referee
        self._seconds = 0.0
        self._memories: Mapping[str, Any] | None = None
        self._answers: list[NDArray[np.uint8] | str] = []

    def write(self, alice: Seat) -> None:
        """Alice's part, all messages; of a stream that is cut its first half."""
        assert isinstance(self.facts, Facts)
        began = time.perf_counter()
        for number in self.numbers:
            last = number == self.numbers[-1]
            self.sent.append(self._referee.alice(alice, self.table, self.facts, number, None, last))
        self._memories = alice.memories()
        self._seconds += time.perf_counter() - began

    def halves(self) -> dict[int, Sent]:
        """The first halves that await their second, by place in the batch."""
        assert isinstance(self.facts, Facts)
        return {
            i: half
            for i, (number, half) in enumerate(zip(self.numbers, self.sent, strict=True))
            if isinstance(half, Sent) and self._referee.cut(self.facts, number) is not None
        }

    def finish(self, alice: Seat, trouble: str) -> None:
        """The second halves; with trouble none of them counts."""
        assert isinstance(self.facts, Facts)
        began = time.perf_counter()
        table, facts = self.table, self.facts
        halves = self.halves()
        for i, half in halves.items():
            last = i == len(self.sent) - 1
            self.sent[i] = trouble or self._referee.alice(
                alice, table, facts, self.numbers[i], half, last
            )
        if len(self.sent) - 1 in halves:
            self._memories = alice.memories()
        self._seconds += time.perf_counter() - began

    def fail(self, trouble: str | None) -> None:
        """With trouble nothing that Alice wrote counts."""
        if trouble:
            self.sent = [trouble for _ in self.sent]

    def is_written(self) -> bool:
        """Whether there is a message for Bob."""
        return any(isinstance(sent, Sent) for sent in self.sent)

    def ask(self, bob: Seat, trouble: str) -> None:
        """Bob's part; with trouble nobody asks him."""
        assert isinstance(self.facts, Facts)
        began = time.perf_counter()
        for number, sent in zip(self.numbers, self.sent, strict=True):
            if isinstance(sent, Sent) and not trouble:
                said = self._referee.bob(bob, self.table, self.facts, number, sent)
            else:
                said = sent if isinstance(sent, str) else trouble
            self._answers.append(said)
        self._seconds += time.perf_counter() - began

    def reading(self) -> Reading | str:
        """What was read of the only message; a str is a fault."""
        (said,) = self._answers or self.sent
        if isinstance(said, str):
            return said
        assert not isinstance(said, Sent)
        return self._referee.reading(self.numbers[0], said)

    def record(self, isolation: str, trouble: str | None) -> BatchRecord:
        """Count; with trouble nothing that Bob said counts."""
        facts = self.facts
        assert isinstance(facts, Facts)
        # Without a message Bob was not there.
        answers = self._answers or [sent for sent in self.sent if isinstance(sent, str)]
        if trouble:
            answers = [trouble for _ in answers]
        counted = zip(self.numbers, self.sent, answers, strict=True)
        return BatchRecord(
            records=tuple(self._referee.record(*one) for one in counted),
            seconds=self._seconds,
            isolation=isolation,
            streaming=facts.streaming,
            source=facts.source,
            versions=facts.versions,
            memories=self._memories,
        )
