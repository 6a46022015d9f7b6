"""One batch: played in whatever process, with the facts of its host, and made a results row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput, BudgetTooSmall
from ..protocols.game.cell import Cell
from .host import host_facts, versions
from .rows import BatchRow, compact

if TYPE_CHECKING:
    from ..protocols.evidence.record import MessageRecord
    from ..protocols.game.index_game import BatchRecord
    from ..protocols.players.isolation import Limits

    Play = Callable[[Cell, bytes, int, str, Limits | None], BatchRecord]


@dataclass(frozen=True)
class Refused:
    """BudgetTooSmall on its way home from another process, where it would not survive pickling."""

    sentence: str
    minimum_bits: int

    def error(self) -> BudgetTooSmall:
        """The error again."""
        error = BudgetTooSmall.__new__(BudgetTooSmall)
        error.args = (self.sentence,)
        error.minimum_bits = self.minimum_bits
        return error


def work(
    play: Play,
    cell: Cell,
    source: str,
    batch: int,
    key: bytes,
    named: str,
    isolation: str,
    limits: Limits | None,
) -> BatchRow | Refused:
    """Play one batch; ``source`` and ``named`` as in :func:`row_of`.

    Raises what ``play`` raises, but for BudgetTooSmall, and what ``row_of`` raises.
    """
    try:
        with one_blas_thread(isolation):
            record = play(cell, key, batch, isolation, limits)
    except BudgetTooSmall as error:
        return Refused(str(error), error.minimum_bits)
    return row_of(cell, source, batch, named, record)


def one_blas_thread(isolation: str) -> AbstractContextManager[object]:
    """BLAS threads gain nothing at our sizes. Players of their own see to it by themselves."""
    if isolation != "inline":
        return nullcontext()
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits


def row_of(cell: Cell, source: str, batch: int, key: str, record: BatchRecord) -> BatchRow:
    """The row of a batch, made where it was played; ``key`` as the row names it.

    Raises BadInput if the code that played is not the code of ``source``.
    """
    if record.source != source:
        raise BadInput(
            f"The code of '{cell.target}' changed while it was played: run the command again."
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
        versions=compact(versions() | dict(record.versions)),
        host=compact(host_facts()),
        wrong_by_row=_by_row(records),
    )


def _by_row(records: Sequence[MessageRecord]) -> tuple[str, ...] | None:
    texts = [r.wrong_by_row for r in records if r.wrong_by_row is not None]
    return tuple(texts) if len(texts) == len(records) else None
