"""One batch: played in any process, with the facts of its host, as a results row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput, BudgetTooSmall, KVBarrierError
from ..protocols.game.cell import Batch, Cell
from .host import host_facts, versions
from .rows import BatchRow, compact

if TYPE_CHECKING:
    from ..protocols.game.index_game import BatchRecord, MessageRecord
    from ..protocols.players.isolation import Limits

    Play = Callable[[Cell, bytes, int, str, Limits | None], BatchRecord]
    PlayAll = Callable[
        [Sequence[Batch], str, Limits | None], Sequence[BatchRecord | KVBarrierError]
    ]


@dataclass(frozen=True)
class Played:
    """A batch's record, and JSON of the versions and the host that made it."""

    record: BatchRecord
    versions: str
    host: str


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


def work(
    play: Play, cell: Cell, key: bytes, batch: int, isolation: str, limits: Limits | None
) -> Played | Refused:
    """Play one batch. Raises what ``play`` raises, except BudgetTooSmall."""
    try:
        with one_blas_thread(isolation):
            record = play(cell, key, batch, isolation, limits)
    except BudgetTooSmall as error:
        return Refused(str(error), error.minimum_bits)
    return _played(record)


def work_together(
    play: PlayAll, batches: Sequence[Batch], isolation: str, limits: Limits | None
) -> list[Played | Refused | KVBarrierError]:
    """Play batches with one pair of players; what stops one of them is in its place."""
    outcomes: list[Played | Refused | KVBarrierError] = []
    for played in play(batches, isolation, limits):
        if isinstance(played, BudgetTooSmall):
            outcomes.append(Refused(str(played), played.minimum_bits))
        else:
            outcomes.append(played if isinstance(played, KVBarrierError) else _played(played))
    return outcomes


def work_alone(
    play: Play, batches: Sequence[Batch], isolation: str, limits: Limits | None
) -> list[Played | Refused | KVBarrierError]:
    """Play batches each with players of its own, by :func:`work`."""
    return [work(play, b.cell, b.key, b.number, isolation, limits) for b in batches]


def _played(record: BatchRecord) -> Played:
    return Played(record, compact(versions() | dict(record.versions)), compact(host_facts()))


def one_blas_thread(isolation: str) -> AbstractContextManager[object]:
    """Use one BLAS thread, enough at these sizes. Player processes do this themselves."""
    if isolation != "inline":
        return nullcontext()
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits


def row_of(cell: Cell, source: str, batch: int, key: str, played: Played) -> BatchRow:
    """The row of a batch; ``key`` is the name in the row.

    Raises BadInput if the code that played is not the code of ``source``.
    """
    record = played.record
    if record.source != source:
        raise BadInput(
            f"The code of '{cell.target}' changed during the attack: run the command again."
        )
    records = record.records
    return BatchRow(
        instance=cell.instance.id,
        cell=cell.id,
        source=source,
        batch=batch,
        spec=compact(cell.spec()),
        key=key,
        isolation=record.isolation,
        streaming=record.streaming,
        wrong_by_age=tuple(tuple(map(int, r.wrong_by_age)) for r in records),
        asked_by_age=tuple(tuple(map(int, r.asked_by_age)) for r in records),
        secret=cell.instance.secret_rows * cell.instance.row_bits,
        charged=tuple(int(r.charged_bits) for r in records),
        payload=tuple(int(r.payload_bytes) for r in records),
        failed=tuple(r.failed for r in records),
        seconds=record.seconds,
        versions=played.versions,
        host=played.host,
        wrong_by_row=_by_row(records),
    )


def _by_row(records: Sequence[MessageRecord]) -> tuple[str, ...] | None:
    texts = [r.wrong_by_row for r in records if r.wrong_by_row is not None]
    return tuple(texts) if len(texts) == len(records) else None
