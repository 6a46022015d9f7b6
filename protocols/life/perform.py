"""Perform a schedule on a compressor, ask for every token, and say what the operations did to it.

**The law.** After any legal schedule the cache answers as one that was only fed the tokens that
survive, up to its declared loss. So the reference is a fresh instance that is fed the survivors of
a sequence, and asked the same. Every token ever fed has a key and a secret row of its own, so it
can be asked for in every sequence: where it survives its row must come back, and where it does not
(a rejected draft, another beam's token) it must not.

*Lost* is a bit that the reference reads right and the cache reads wrong. Where the reference makes
no error at all, one such bit is a fault. Where the cache loses bits anyway, which ones may depend
on how it was fed; then bits that got lost are as likely as bits that were won, and it is a fault
only if the losses outnumber what is won beyond chance: by McNemar's exact test,
Pr[Bin(l + w, 1/2) >= l] below 2^-12, for l lost bits and w won ones. A token that a declaration
does not say is held is left out. A *ghost* is a token that must not answer and does: in some head
every coordinate of the answer lies within .4 of its row. A healthy cache answers with a mixture of
other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.answers import given
from ...compressors.plugin.blame import author, blame
from ...compressors.plugin.contract import Compressor, Float32, Shape
from ...compressors.plugin.operations import OPERATIONS, refuse_lacking
from ...errors import BadInput, KVBarrierError, PluginFailure
from ...reductions.reduction import Reduction
from ..evidence.record import Reading
from .actor import Actor, Triples, step_of
from .oracle import Oracle, check_legal
from .schedule import Operation, Schedule
from .verdict import GHOST, Outcome, Place, judge, lost_tokens

_UNSAVED = 8

Build = Callable[[Shape], Compressor]
"""Builds a fresh instance for a shape; equal instances for equal shapes."""


@dataclass(frozen=True)
class Hard:
    """What is fed: a reduction with a row for every token, and its secret.

    Attributes:
        reduction: of plain rows (``reductions.index``, ``reductions.stream_family``): token t of a
            schedule is its row t.
        secret: uint8[rows, width].
        layers, heads: of a token; ``width`` is layers * heads * d_v.
    """

    reduction: Reduction
    secret: NDArray[np.uint8]
    layers: int = 1
    heads: int = 1
    triples: Triples = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "triples", self.reduction.stream(self.secret))

    def shape(self, tokens: int, sequences: int | None = None) -> Shape:
        """The shape of a cache that ever holds so many tokens, and Bob's."""
        made = self.reduction
        return Shape(
            tokens, made.d_k, made.d_v, made.extra, self.layers, self.heads, self.heads, sequences
        )

    def questions(
        self, sequences: int | None, rows: int | None = None
    ) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the first ``rows`` tokens, or for all.

        In a batch every sequence is asked the same.
        """
        parts = self.reduction.queries(None if rows is None else np.arange(rows))
        if sequences is None:
            return parts
        q, k, v = (np.repeat(part[:, None], sequences, axis=1) for part in parts)
        return q, k, v

    def silence(self, sequences: int | None, rows: int | None = None) -> Float32:
        """Answers of nothing but zeros, in the shape of real ones."""
        return np.zeros_like(self.questions(sequences, rows)[2])

    def by_head(self, rows: NDArray[Any]) -> NDArray[Any]:
        """[m, ..] of a token's numbers as [m, layers, heads, d_v]."""
        return np.asarray(rows).reshape(len(rows), self.layers, self.heads, self.reduction.d_v)

    @property
    def values(self) -> NDArray[np.float32]:
        """The rows as they are fed: float32[rows, layers, heads, d_v]."""
        return np.asarray(self.by_head(self.triples[2]))

    def reading(self, tokens: Sequence[int], outputs: Float32) -> Reading:
        """What outputs [rows, ..] for every token say of some of them."""
        at = np.array(tokens, dtype=np.int64)
        secret = self.by_head(self.secret[at])
        said = self.reduction.decode(outputs[at], at) if len(at) else secret
        answers = np.asarray(self.by_head(outputs[at]), np.float32)
        return Reading(at, secret, self.by_head(said), self.reduction.rows, answers)


@dataclass(frozen=True)
class Performance:
    """What came of a schedule.

    Attributes:
        schedule: what was performed; where an operation failed, up to that one.
        outcome: see :class:`.verdict.Outcome`; ``sentence`` begins with the schedule.
        readings: of each sequence of each instance that was asked at the end.
        references: what a fresh instance fed the survivors reads.
    """

    schedule: Schedule
    outcome: Outcome
    readings: tuple[Reading, ...] = ()
    references: tuple[Reading, ...] = ()

    @property
    def sentence(self) -> str:
        """``append 2, crop 1: all tokens answer 1 place away``."""
        return f"{self.schedule}: {self.outcome.sentence}"

    @property
    def is_fault(self) -> bool:
        """Whether the law is broken; a refusal breaks none."""
        return self.outcome.is_fault


class Stage:
    """Where schedules are performed: a compressor, what it is fed, and references seen so far.

    Args:
        build: builds fresh instances.
        hard: what they are fed.
        room: ``shape.tokens`` of all instances; None: what each schedule needs.
        declared: ``held(n, after) -> bool[n] | None``, which of n tokens are declared held.
    """

    def __init__(
        self,
        build: Build,
        hard: Hard,
        *,
        room: int | None = None,
        declared: Callable[[int, int], NDArray[np.bool_] | None] | None = None,
    ) -> None:
        self.hard = hard
        self._build = build
        self._room = room
        self._declared = declared
        self._references: dict[tuple[int, tuple[int, ...]], Reading] = {}

    def perform(self, schedule: Schedule) -> Performance:
        """Perform a schedule and ask for everything, in every sequence of every instance.

        Raises:
            BadInput: it is not legal, feeds more tokens than there are rows, or uses an operation
                that the class does not have.
            PluginFailure: the reference, which is only fed tokens, fails.
            BudgetTooSmall: as the constructor says.
        """
        end = check_legal(schedule)
        if end.fed > self.hard.reduction.rows:
            raise BadInput(
                f"The schedule feeds {end.fed} tokens and there are {self.hard.reduction.rows} "
                "rows: take a larger n."
            )
        room = self._room or max(end.longest, 1)
        actor = _Player(self._build, self.hard, schedule.sequences, room)
        first = actor.live[0]
        refuse_lacking(first, schedule.needs, type(author(first)).__name__)
        for at, operation in enumerate(schedule.operations):
            so_far = replace(schedule, operations=schedule.operations[: at + 1])
            try:
                actor.do(operation)
                if operation.name == "ask":
                    found = self._judged(so_far, actor, room, [actor.oracle.at])
                    if found.is_fault:
                        return found
            except _Failed as failed:
                return self._refused(so_far, failed.outcome, actor, room)
        return self._judged(schedule, actor, room, range(len(actor.oracle.instances)))

    def _refused(
        self, schedule: Schedule, outcome: Outcome, actor: _Player, room: int
    ) -> Performance:
        """Who refuses an operation must not have begun with it."""
        if outcome.kind == "refused":
            now = self._judged(schedule, actor, room, range(len(actor.oracle.instances)))
            if now.is_fault:
                said = f"{outcome.sentence.rstrip('.')}, and yet {now.outcome.sentence}"
                return replace(now, outcome=replace(now.outcome, sentence=said))
        return Performance(schedule, outcome)

    def shows_only_saved(self, found: Performance) -> bool:
        """Whether the live instance, asked without any save, answers one lost token as it should.

        Questions come to copies, made by save and restore, so a state that ``save`` leaves out
        shows in any schedule; then ``save`` is the operation to name.
        """
        oracle = Oracle.after(found.schedule)
        actor = _Player(self._build, self.hard, oracle.sequences, self._room or oracle.longest)
        asked = [(i, j) for i, batch in enumerate(oracle.instances) for j in range(len(batch))]
        if found.outcome.kind not in ("lost", "moved") or len(asked) != len(found.readings):
            return False
        losses = [
            (*at, lost[0])
            for at, mine, its in zip(asked, found.readings, found.references, strict=True)
            if (lost := lost_tokens(mine, its))
        ]
        number, j, token = losses[0]
        try:
            for operation in found.schedule.operations:
                actor.do(operation)
            answer = actor.ask_live(number, token)
        except _Failed:
            return False
        mine = answer if oracle.sequences is None else answer[j]
        distance = np.abs(self.hard.by_head(mine[None])[0] - self.hard.values[token])
        return bool((distance < GHOST).all())

    def _judged(
        self, schedule: Schedule, actor: _Player, room: int, instances: Sequence[int]
    ) -> Performance:
        try:
            outputs = {number: actor.ask(number) for number in instances}
        except _Failed as failed:
            return Performance(schedule, failed.outcome)
        places, readings, references = [], [], []
        for number in instances:
            rows = actor.oracle.instances[number]
            for j, row in enumerate(rows):
                mine = outputs[number] if schedule.sequences is None else outputs[number][:, j]
                reading = self.hard.reading(row, mine)
                reference = self._reference(tuple(row), room)
                held = None if self._declared is None else self._declared(len(row), 1)
                answers = self.hard.by_head(mine)
                alone = len(rows) == 1 and len(actor.oracle.instances) == 1
                name = _where(number, j, len(actor.oracle.instances), len(rows))
                places.append(
                    Place(
                        "" if alone else name, reading, reference, answers, actor.oracle.fed, held
                    )
                )
                readings.append(reading)
                references.append(reference)
        outcome = judge(places, self.hard.values)
        return Performance(schedule, outcome, tuple(readings), tuple(references))

    def _reference(self, row: tuple[int, ...], room: int) -> Reading:
        """What a fresh instance that was only fed these tokens reads."""
        if (room, row) not in self._references:
            fresh = self._build(self.hard.shape(room))
            try:
                for token in row:
                    fresh.append(*step_of(self.hard.triples, [token], None))
                # Of no token nothing is asked: a class may fail where it holds none.
                rows = max(row, default=0) + 1
                outputs = _asked(fresh, self.hard, None, rows) if row else self.hard.silence(None)
                outputs = self._asked_unsaved(fresh, row, outputs)
            except Exception as error:
                raise blame(error, "feeding a fresh instance") from error
            self._references[room, row] = self.hard.reading(row, outputs)
        return self._references[room, row]

    def _asked_unsaved(self, fresh: Compressor, row: Sequence[int], outputs: Float32) -> Float32:
        """The same, with some of the tokens that it lost asked of copies that were never saved.

        Questions come to copies made by save and restore. What save loses, the reference must not.
        """
        reading = self.hard.reading(row, outputs)
        lost = reading.tokens[reading.wrong.any(axis=(1, 2, 3))]
        better = outputs.copy()
        some = np.linspace(0, len(lost) - 1, min(_UNSAVED, len(lost))).astype(int)
        for token in lost[some].tolist():
            try:
                twin = deepcopy(fresh)
            except Exception:
                return outputs  # what cannot be copied is only asked as the game asks
            q, k, v = (part[token] for part in self.hard.questions(None))
            twin.append(q, k, v)
            better[token] = given(twin, "attend", twin.attend(q), v.shape)
        return better


def _where(instance: int, sequence: int, instances: int, sequences: int) -> str:
    words = [f"sequence {sequence}"] if sequences > 1 else []
    words += [f"instance {instance}"] if instances > 1 else []
    return " of ".join(words)


class _Failed(Exception):
    """An operation raised, or what came after it did."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.sentence)
        self.outcome = outcome


class _Player(Actor):
    """Performs, asks, and says of whatever is raised what it is called."""

    def __init__(self, build: Build, hard: Hard, sequences: int | None, room: int) -> None:
        super().__init__(partial(build, hard.shape(room, sequences)), hard.triples, sequences)
        self._hard = hard

    def do(self, operation: Operation) -> None:
        """Perform one operation.

        Raises:
            _Failed: it raised.
        """
        try:
            super().do(operation)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _Failed(_outcome_of(error, operation.name)) from None

    def ask(self, number: int) -> Float32:
        """The outputs of an instance for every token, [rows, (sequences,) .., d_v].

        Raises:
            _Failed: it raised, or answered something else.
        """
        oracle = self.oracle
        width = None if oracle.sequences is None else len(oracle.instances[number])
        try:
            return _asked(self.live[number], self._hard, width, oracle.fed or 1)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if not oracle.instances[number][0] and self._fails_when_empty():
                return self._hard.silence(width, oracle.fed or 1)
            raise _Failed(_outcome_of(error, "a question")) from None

    def _fails_when_empty(self) -> bool:
        """Whether a fresh instance cannot be asked either."""
        try:
            _asked(self._fresh(), self._hard, self.oracle.sequences, 1)
        except Exception:
            return True
        return False

    def ask_live(self, number: int, token: int) -> Float32:
        """The output for one token, asked of the instance itself, which is spent by that.

        Raises:
            _Failed: it raised, or answered something else.
        """
        oracle = self.oracle
        width = None if oracle.sequences is None else len(oracle.instances[number])
        q, k, v = (part[token] for part in self._hard.questions(width))
        try:
            self.live[number].append(q, k, v)
            cache = self.live[number]
            answer: Float32 = given(cache, "attend", cache.attend(q), v.shape)
            return answer
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _Failed(_outcome_of(error, "a question")) from None


def _asked(cache: Any, hard: Hard, width: int | None, rows: int) -> Float32:
    q, k, v = hard.questions(width, rows)
    outputs: Float32 = given(cache, "next_outputs", cache.next_outputs(q, k, v), v.shape)
    return outputs


def _outcome_of(error: BaseException, name: str) -> Outcome:
    """What it is called that an operation raised: to refuse is allowed, anything later is not."""
    if isinstance(error, KVBarrierError) and not isinstance(error, PluginFailure):
        said = str(error)
    else:
        said = str(blame(error, name))
    if isinstance(error, PluginFailure) or name not in OPERATIONS:
        return Outcome("late", said)
    return Outcome("refused", said)
