"""The Index game: Alice streams x, Bob is asked for rows of it, and every drawn message counts.

Alice gets the stream of x and hands over bytes. Only when nothing of her lives any more does Bob
begin; every question is answered from its own copy of what she handed over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import HarnessFault, KVBarrierError
from ...reductions.key_payload import KeyPayloadReduction
from ...reductions.linear_bob import LinearBob
from ...reductions.reduction import questions_per_row
from ..evidence.record import MessageRecord
from ..evidence.row_counts import text_of
from ..evidence.soft_ledger import EDGES, bin_of, counts_by_bin
from ..players.channel import FAILED_CHARGE, charged_bits
from ..players.isolation import Limits, check_isolation
from ..players.pair import at_the_table, prepared, seated_after
from ..players.players import Facts, PlayerFault, Table
from ..players.seats import Seat
from . import coins
from .cell import Cell


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
class Sent:
    """What Alice handed over for one message: its bytes, charged bits and payload bytes.

    ``declared`` is the length that her instance declared before it saw anything, or None.
    """

    message: bytes
    charged: int
    payload: int
    declared: int | None = None


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
    (played,) = play_together([cell], [key], batch, isolation, limits)
    if isinstance(played, KVBarrierError):
        raise played
    return played


def play_together(
    cells: Sequence[Cell],
    keys: Sequence[bytes],
    batch: int,
    isolation: str,
    limits: Limits | None = None,
) -> list[BatchRecord | KVBarrierError]:
    """Play a batch of several cells with one pair of players, who import their packages once.

    Alice plays all cells and is gone before Bob begins. A cell that cannot be built is an error in
    its place, and the others are played. All must be played by one interpreter. Each has a key of
    its own: what Bob held of one message says nothing about another.

    Raises BadInput for a key, an isolation that cannot be had or an engine that is not installed.
    """
    limits = limits or Limits()
    check_isolation(isolation)
    for key in keys:
        coins.check_key(key)
    lines = [_Line(_Game(cell, key), _table(cell)) for cell, key in zip(cells, keys, strict=True)]
    numbers = [range(batch * c.batch_size, (batch + 1) * c.batch_size) for c in cells]
    with prepared(lines[0].table, isolation, limits) as (alice, bob):
        with at_the_table("Alice", alice, isolation):
            for line, messages in zip(lines, numbers, strict=True):
                line.write(alice, messages)
            alice.renew()
            for line in lines:
                line.finish(alice)
            trouble = alice.leave()
        with at_the_table("Bob", bob, isolation):
            for line in lines:
                line.ask(bob, trouble)
            trouble = bob.leave()
    return [line.record(isolation, trouble) for line in lines]


def written(
    cell: Cell, key: bytes, numbers: range, isolation: str, limits: Limits | None = None
) -> list[Sent | str]:
    """What Alice alone hands over for these messages; a str is a fault.

    Raises what :func:`play_batch` raises.
    """
    check_isolation(isolation)
    line = _Line(_Game(cell, key), _table(cell))
    with (
        prepared(line.table, isolation, limits or Limits()) as (alice, _),
        at_the_table("Alice", alice, isolation),
    ):
        line.write(alice, numbers)
        alice.renew()
        line.finish(alice)
        trouble = alice.leave()
    if isinstance(line.facts, KVBarrierError):
        raise line.facts
    return [trouble for _ in numbers] if trouble else line.sent


def probe_construction(cell: Cell, isolation: str, limits: Limits | None = None) -> Facts:
    """Construct the cell's compressor in a player, and return what it declares.

    Raises:
        BudgetTooSmall: it cannot live in the cell's budget.
        BadInput, NoScale: there is no such target or instance.
        PluginFailure: its construction failed.
    """
    check_isolation(isolation)
    table = _table(cell)
    with (
        prepared(table, isolation, limits or Limits()) as (alice, _),
        at_the_table("Alice", alice, isolation),
    ):
        return alice.sit(table)


def _table(cell: Cell) -> Table:
    return Table(
        target=cell.target,
        folder=os.getcwd(),
        params=dict(cell.params),
        shape=cell.instance.shape,
        budget_bits=cell.budget_bits,
        public=cell.instance.build().public(),
    )


class _Line:
    """One cell of a play: what Alice wrote, what Bob said, and what it took."""

    def __init__(self, game: _Game, table: Table) -> None:
        self.table = table
        self._game = game
        self._numbers = range(0)
        self._seconds = 0.0
        self.facts: Facts | KVBarrierError | None = None
        self._memories: Mapping[str, Any] | None = None
        self.sent: list[Sent | str] = []
        self._answers: list[NDArray[np.uint8] | str] = []

    def write(self, alice: Seat, numbers: range) -> None:
        """Alice's part, all messages; of a stream that is cut its first half."""
        began = time.perf_counter()
        self._numbers = numbers
        try:
            self.facts = alice.sit(self.table)
        except HarnessFault:
            raise
        except KVBarrierError as error:
            self.facts = error
            return
        facts = self.facts
        self.sent = [self._game.alice(alice, facts, number) for number in numbers]
        self._memories = alice.memories()
        self._seconds = time.perf_counter() - began

    def finish(self, alice: Seat) -> None:
        """The second halves, by somebody who never saw the first ones."""
        facts, sent = self.facts, self.sent
        if not isinstance(facts, Facts):
            return
        cut = [self._game.cut(facts, number) is not None for number in self._numbers]
        halves = [i for i, half in enumerate(sent) if cut[i] and isinstance(half, Sent)]
        if not halves:
            return
        began = time.perf_counter()
        trouble = seated_after(alice, self.table, facts, "the second half of a stream", "the first")
        for i in halves:
            half = sent[i]
            assert isinstance(half, Sent)
            sent[i] = trouble or self._game.alice(alice, facts, self._numbers[i], half)
        if cut[-1]:
            self._memories = alice.memories()
        self._seconds += time.perf_counter() - began

    def ask(self, bob: Seat, trouble: str | None) -> None:
        """Bob's part; with trouble nothing that Alice wrote counts."""
        if not isinstance(self.facts, Facts):
            return
        began = time.perf_counter()
        if trouble:
            self.sent = [trouble for _ in self.sent]
        self._answers = self._game.bob(bob, self.table, self.facts, self._numbers, self.sent)
        self._seconds += time.perf_counter() - began

    def record(self, isolation: str, trouble: str | None) -> BatchRecord | KVBarrierError:
        """Count; with trouble nothing that Bob said counts."""
        facts = self.facts
        if not isinstance(facts, Facts):
            assert facts is not None
            return facts
        answers = [trouble for _ in self._answers] if trouble else self._answers
        records = tuple(
            self._game.record(*one) for one in zip(self._numbers, self.sent, answers, strict=True)
        )
        return BatchRecord(
            records=records,
            seconds=self._seconds,
            isolation=isolation,
            streaming=facts.streaming,
            source=facts.source,
            versions=facts.versions,
            memories=self._memories,
        )


class _Game:
    """The harness: draws secrets, carries messages, asks, and counts."""

    def __init__(self, cell: Cell, key: bytes) -> None:
        self._instance = cell.instance
        self._reduction = cell.instance.build()
        self._id = cell.instance.id
        self._key = key
        self._asked: dict[int, NDArray[np.int64]] = {}
        self._bins: dict[int, NDArray[np.int64]] = {}

    def _secret(self, number: int) -> NDArray[np.uint8]:
        shape = self._reduction.rows, self._reduction.width
        bits = coins.secret_bits(self._key, self._id, number, shape[0] * shape[1])
        return bits.reshape(shape)

    def cut(self, facts: Facts, number: int) -> int | None:
        """After how many tokens a message's stream is cut; None where it is not."""
        if not facts.streaming:
            return None
        return coins.cut_point(self._key, self._id, number, self._reduction.tokens)

    def alice(self, alice: Seat, facts: Facts, number: int, half: Sent | None = None) -> Sent | str:
        """Have Alice write one message; a str is a fault.

        Of a stream that is cut she writes the first half, or after that ``half`` the second.
        """
        at = self.cut(facts, number)
        part = slice(None, at) if half is None else slice(at, None)
        try:
            declared = alice.begin(coins.public_seed(self._key, self._id, number))
            if half is not None and declared != half.declared:
                return (
                    f"Alice: message_bytes was {half.declared} and is {declared} in a fresh "
                    "process: it must not change."
                )
            # Drawn only now: the instance stands, and with it the length that it declares.
            q, k, v = self._reduction.stream(self._secret(number))
            triples = (q[part].copy(), k[part].copy(), v[part].copy())
            message, payload = alice.write(triples, None if half is None else half.message)
        except PlayerFault as fault:
            return str(fault)
        if declared is not None and len(message) != declared:
            return (
                f"Alice: save returned {len(message)} bytes, declared were "
                f"message_bytes = {declared}."
            )
        charged = max(charged_bits(len(message), declared), 0 if half is None else half.charged)
        return Sent(message, charged, max(0, min(payload, len(message))), declared)

    def bob(
        self, bob: Seat, table: Table, facts: Facts, numbers: range, sent: list[Sent | str]
    ) -> list[NDArray[np.uint8] | str]:
        """Have Bob answer for all messages that Alice got through; a str is a fault."""
        answers: list[NDArray[np.uint8] | str] = [s if isinstance(s, str) else "" for s in sent]
        if any(isinstance(s, Sent) for s in sent):
            trouble = seated_after(bob, table, facts, "Bob", "Alice")
            for i, (number, s) in enumerate(zip(numbers, sent, strict=True)):
                if isinstance(s, Sent):
                    answers[i] = trouble or self._answer(bob, facts, number, s)
        return answers

    def _answer(self, bob: Seat, facts: Facts, number: int, s: Sent) -> NDArray[np.uint8] | str:
        """Return Bob's bits for the rows asked, uint8[rows, width]; a str is a fault."""
        rows = self._rows(number)
        q, k, v = self._reduction.queries(rows)
        asked = len(rows) * questions_per_row(self._reduction)
        block = self._reduction.block
        # Comparing inside the kernel is for plain rows, whose bits are the output's coordinates.
        plain = facts.batched and self._instance.coordinates
        thresholds = self._reduction.thresholds(rows) if plain else None
        # A stranger's next_outputs would see which rows were drawn, and the two-term bound needs
        # answers that do not depend on it: each row of a sample is asked of a Bob of its own.
        apart = not facts.builtin and len(rows) < self._reduction.rows
        size = questions_per_row(self._reduction) if apart else asked
        answers = []
        try:
            for first in range(0, asked, size):
                # The last block is as long as the others: its last question is asked again.
                whole = np.arange(first, first + -(-size // block) * block)
                padded = np.minimum(whole, first + size - 1)
                bob.begin(coins.public_seed(self._key, self._id, number))
                some = bob.answer(s.message, (q[padded], k[padded], v[padded]), thresholds, block)
                answers.append(some if plain else some[:size])
        except PlayerFault as fault:
            return str(fault)
        said = np.concatenate(answers)
        if thresholds is None:
            if isinstance(self._reduction, LinearBob):
                self._bins[number] = bin_of(self._reduction.scores(said))
            if isinstance(self._reduction, KeyPayloadReduction):
                # Of each bit he is told those above it in its number: one answer reads one bit.
                told = self._secret(number)[rows]
                said = self._reduction.decode(said, rows, told)
            else:
                said = self._reduction.decode(said, rows)
        return np.asarray(said, dtype=np.uint8).reshape(len(rows), -1)

    def _rows(self, number: int) -> NDArray[np.int64]:
        if number not in self._asked:
            n, asked = self._reduction.rows, self._instance.rows
            self._asked[number] = coins.sampled_rows(self._key, self._id, number, n, asked)
        return self._asked[number]

    def record(self, number: int, s: Sent | str, a: NDArray[np.uint8] | str) -> MessageRecord:
        """Count one message."""
        rows = self._rows(number)
        n, d = self._reduction.rows, self._reduction.width
        bits = a
        if isinstance(bits, str):
            guesses = coins.guess_bits(self._key, self._id, number, len(rows) * d)
            bits = guesses.reshape(len(rows), d)
        wrong = (bits != self._secret(number)[rows]).sum(axis=1)
        ages = coins.bucket_of(rows, n)
        wrong_by_age = np.bincount(ages, weights=wrong, minlength=coins.AGE_BUCKETS)
        asked_by_age = d * np.bincount(ages, minlength=coins.AGE_BUCKETS)
        played = None if isinstance(a, str) or isinstance(s, str) else s
        return MessageRecord(
            wrong_by_age=tuple(int(w) for w in wrong_by_age),
            asked_by_age=tuple(int(w) for w in asked_by_age),
            charged_bits=played.charged if played else FAILED_CHARGE,
            payload_bytes=played.payload if played else 0,
            failed=a if isinstance(a, str) else None,
            soft=self._soft(number, played is not None),
            wrong_by_row=text_of(wrong),
        )

    def _soft(self, number: int, played: bool) -> tuple[tuple[int, int], ...]:
        if not isinstance(self._reduction, LinearBob):
            return ()
        bits = self._secret(number)[self._rows(number)].astype(np.int64).ravel()
        # Of a message that failed nothing is known: all its bits are in one bin.
        bins = self._bins[number].ravel() if played else np.zeros_like(bits)
        counts = counts_by_bin(bins, bits, len(EDGES) + 2)
        return tuple((int(zeros), int(ones)) for zeros, ones in counts)
