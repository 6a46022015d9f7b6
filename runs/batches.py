"""One batch: which players have it, played in any process, as a row with the facts of its host."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from ..errors import BadInput, BudgetTooSmall, KVBarrierError
from ..protocols.evidence.row_counts import counts_of, text_of
from ..protocols.game.instance import compact
from .host import host_facts, versions
from .rows import BatchRow

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

    from ..protocols.evidence.record import MessageRecord
    from ..protocols.game.cell import Batch, Cell
    from ..protocols.game.index_game import BatchRecord
    from ..protocols.players.isolation import Limits

    Play = Callable[[Cell, bytes, int, str, Limits | None], BatchRecord]
    PlayAll = Callable[
        [Sequence[Batch], str, Limits | None], Sequence[BatchRecord | KVBarrierError]
    ]

T = TypeVar("T")

TOGETHER_SECONDS = 30.0
"""How long the batches should take at most that a pair of players plays: a signal loses them."""

START_SECONDS = 2.0
"""How long they should take at least for another pair to be started: that takes about a second."""


def shares(wanted: Sequence[T], seconds: Sequence[float], pairs: int) -> list[list[T]]:
    """Split batches among as many pairs as are worth their start, and more if that takes long.

    ``seconds`` is how long each should take; infinite for one that is played by itself.

    >>> shares("abc", [0.1] * 3, 2), shares("abc", [2.0] * 3, 2), shares("ab", [math.inf] * 2, 1)
    ([['a', 'b', 'c']], [['a', 'c'], ['b']], [['a'], ['b']])
    """
    count, whole = len(wanted), sum(seconds)
    if whole < math.inf:
        worth = min(pairs, int(whole / START_SECONDS))
        count = min(count, max(1, worth, math.ceil(whole / TOGETHER_SECONDS)))
    return [list(wanted[first::count]) for first in range(count)]


@dataclass(frozen=True)
class Refused:
    """BudgetTooSmall on its way back from another process; it would not survive pickling."""

    sentence: str
    minimum_bits: int

    def error(self) -> BudgetTooSmall:
        """The error again."""
        error = BudgetTooSmall.__new__(BudgetTooSmall)
        error.args = (self.sentence,)
        error.minimum_bits = self.minimum_bits
        return error


@dataclass(frozen=True)
class Task:
    """A batch to play, and what its row says beside what was played.

    ``source``: the digest of the code that has to play it. ``named``: how the row names the key.
    ``declares``: the words of the declaration that the cell is played under, or None.
    """

    batch: Batch
    source: str
    named: str
    declares: tuple[str, ...] | None = None


Outcome = BatchRow | Refused | KVBarrierError
"""What becomes of a task that is played with others."""


def work(play: Play, task: Task, isolation: str, limits: Limits | None) -> BatchRow | Refused:
    """Play one batch. Raises what ``play`` raises, except BudgetTooSmall, and as :func:`row_of`."""
    batch = task.batch
    try:
        with one_blas_thread(isolation):
            record = play(batch.cell, batch.key, batch.number, isolation, limits)
    except BudgetTooSmall as error:
        return Refused(str(error), error.minimum_bits)
    return row_of(task, record)


def work_together(
    play: PlayAll, tasks: Sequence[Task], isolation: str, limits: Limits | None
) -> list[Outcome]:
    """Play batches with one pair of players; what stops one of them is in its place."""
    played = play([task.batch for task in tasks], isolation, limits)
    return [_outcome(task, record) for task, record in zip(tasks, played, strict=True)]


def work_alone(
    play: Play, tasks: Sequence[Task], isolation: str, limits: Limits | None
) -> list[Outcome]:
    """Play batches each with players of its own, by :func:`work`."""
    return [work(play, task, isolation, limits) for task in tasks]


def _outcome(task: Task, played: BatchRecord | KVBarrierError) -> Outcome:
    if isinstance(played, BudgetTooSmall):
        return Refused(str(played), played.minimum_bits)
    if isinstance(played, KVBarrierError):
        return played
    try:
        return row_of(task, played)
    except BadInput as error:
        return error


def one_blas_thread(isolation: str) -> AbstractContextManager[object]:
    """Use one BLAS thread, enough at these sizes. Player processes do this themselves."""
    if isolation != "inline":
        return nullcontext()
    limits: AbstractContextManager[object] = _libraries(len(sys.modules)).limit(
        limits=1, user_api="blas"
    )
    return limits


@lru_cache(1)
def _libraries(_modules: int) -> ThreadpoolController:
    """What is loaded, looked for again after an import: that takes as long as a small batch."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def row_of(task: Task, record: BatchRecord) -> BatchRow:
    """The row of a batch, made where it was played.

    Raises BadInput if the code that played is not the code of ``task.source``.
    """
    cell = task.batch.cell
    if record.source != task.source:
        raise BadInput(
            f"The code of '{cell.target}' changed during the attack: run the command again."
        )
    records = record.records
    return BatchRow(
        instance=cell.instance.id,
        cell=cell.id,
        source=task.source,
        batch=task.batch.number,
        spec=compact(cell.spec()),
        key=task.named,
        isolation=record.isolation,
        streaming=record.streaming,
        wrong_by_age=tuple(tuple(map(int, r.wrong_by_age)) for r in records),
        asked_by_age=tuple(tuple(map(int, r.asked_by_age)) for r in records),
        secret=cell.instance.secret_rows * cell.instance.row_bits,
        charged=tuple(int(r.charged_bits) for r in records),
        payload=tuple(int(r.payload_bytes) for r in records),
        failed=tuple(r.failed for r in records),
        seconds=record.seconds,
        versions=compact(versions() | dict(record.versions)),
        host=compact(host_facts()),
        wrong_by_row=_by_row(records),
        wrong_by_place=_by_place(records),
        said=tuple(r.said for r in records) if any(r.said for r in records) else None,
        declares=task.declares,
        ghosts=tuple(r.ghosts for r in records),
    )


def _by_place(records: Sequence[MessageRecord]) -> tuple[str, str, str] | None:
    told = [r.wrong_by_place for r in records if r.failed is None]
    kept = [texts for texts in told if texts is not None]
    if not kept or len(kept) < len(told):
        return None
    sums = [text_of(sum(map(counts_of, texts))) for texts in zip(*kept, strict=True)]
    return sums[0], sums[1], sums[2]


def _by_row(records: Sequence[MessageRecord]) -> tuple[str, ...] | None:
    texts = [r.wrong_by_row for r in records if r.wrong_by_row is not None]
    return tuple(texts) if len(texts) == len(records) else None
