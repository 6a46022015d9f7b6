"""One batch of a results file played again: the same key, the same secrets, the same coins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..compressors.catalog import is_builtin
from ..errors import BadInput
from ..protocols.game.cell import Batch, cell_of, target_name
from ..protocols.game.index_game import play_batch, probe_construction
from ..protocols.game.instance import compact
from ..protocols.players.isolation import Limits, default_isolation
from .batches import Refused, Task, work
from .comparison import RegressReport, compare, refuse_powerless
from .host import host_facts, versions
from .results import read_results
from .rows import BatchRow, newest
from .runner import Step

BASELINE_LEVEL = 1e-3
"""Family-wise level of ``attack --baseline``: 16 messages a cell suffice for seven budgets."""


@dataclass(frozen=True)
class Replay:
    """A row as it was, and the same batch played now."""

    then: BatchRow
    now: BatchRow

    @property
    def isolation(self) -> str:
        """The isolation of the new play."""
        return self.now.isolation

    @property
    def different(self) -> list[int]:
        """Global indices of messages whose counts, charged bits or failure differ."""
        pairs = zip(self.then.messages(), self.now.messages(), strict=True)
        first = self.then.batch * self.then.size
        return [
            first + i
            for i, (a, b) in enumerate(pairs)
            if (a.wrong_by_age, a.charged_bits, a.failed is None)
            != (b.wrong_by_age, b.charged_bits, b.failed is None)
            or a.wrong_by_row not in (None, b.wrong_by_row)
        ]

    @property
    def equal(self) -> bool:
        """Whether every message has the same result as before."""
        return not self.different

    def table(self) -> list[list[Any]]:
        """One line a message: index, wrong then and now, charged then and now, failure now."""
        first = self.then.batch * self.then.size
        then, now = self.then, self.now
        columns = zip(then.wrong, now.wrong, then.charged, now.charged, now.failed, strict=True)
        return [[first + i, *entry[:4], entry[4] or ""] for i, entry in enumerate(columns)]

    def as_dict(self) -> dict[str, Any]:
        """One JSON document."""
        return {
            "schema": 1,
            "compressor": self.then.compressor,
            "cell": self.then.cell,
            "batch": self.then.batch,
            "isolation": self.isolation,
            "same_source": self.then.source == self.now.source,
            "equal": self.equal,
            "different_messages": self.different,
            "wrong_bits": {"then": list(self.then.wrong), "now": list(self.now.wrong)},
            "charged_bits": {"then": list(self.then.charged), "now": list(self.now.charged)},
            "failed": {"then": list(self.then.failed), "now": list(self.now.failed)},
        }


def replay(
    row: BatchRow,
    *,
    target: str | None = None,
    isolation: str | None = None,
    limits: Limits | None = None,
) -> Replay:
    """Play a row's batch again.

    ``target`` gives the path of a plug-in's file, because a row holds only its name. A results file
    may come from anybody, so its targets are not trusted: built-ins are played in the row's
    isolation, all others in the target's default, whatever the row says, unless ``isolation`` is
    given. Raises BadInput if the row is of another target, or names a path and ``target`` is not
    given, and what ``play_batch`` raises.
    """
    cell = cell_of(row.spec_dict)
    if target is None:
        refuse_place(cell.target)
    else:
        if target_name(target) != target_name(cell.target):
            raise BadInput(
                f"the row is of '{cell.target}', not of '{target}': give the path of "
                f"'{cell.target}'."
            )
        cell = replace(cell, target=target)
    builtin = is_builtin(cell.target)
    chosen = isolation or (row.isolation if builtin else default_isolation(builtin))
    source = probe_construction(cell, chosen, limits).source
    task = Task(Batch(cell, row.master_key, row.batch), source, row.key, row.declares)
    now = work(play_batch, task, chosen, limits)
    if isinstance(now, Refused):
        raise now.error()
    return Replay(row, now)


def baseline_rows(path: Path | str, target: str, level: float = BASELINE_LEVEL) -> list[BatchRow]:
    """Read a baseline's rows of ``target``, from the newest code that played it.

    Raises BadInput, before anything is played, for a file without such rows and for one that could
    not fail here (``comparison.refuse_powerless``). Warns of a torn last line, as all readers do.
    """
    everything = read_results(path)
    if not everything:
        raise BadInput(
            f"The baseline {path} is empty: measure it first, with --resume {path} alone."
        )
    name = target_name(target)
    rows = newest([row for row in everything if row.compressor == name])
    if not rows:
        known = ", ".join(sorted({row.compressor for row in everything}))
        raise BadInput(f"The baseline {path} has no rows of '{name}': it has {known}.")
    refuse_powerless(rows, compact(host_facts()), compact(versions()), level)
    return rows


def refuse_place(target: str) -> None:
    """Raise BadInput for a row's target that names a path: kvbarrier never writes one.

    >>> refuse_place("mine.py:Mine?keep=4")
    >>> refuse_place("../mine.py:Mine")
    Traceback (most recent call last):
    kvbarrier.errors.BadInput: The row names '../mine.py:Mine', a path on this machine, but a \
row may hold only a name: if you trust that file, give its path with --target.
    """
    path = target.partition("?")[0]
    if "/" in path or "\\" in path or ".." in path:
        raise BadInput(
            f"The row names '{target}', a path on this machine, but a row may hold only a "
            "name: if you trust that file, give its path with --target."
        )


def compare_with_baseline(
    rows: Sequence[BatchRow],
    target: str,
    *,
    executor: Executor,
    isolation: str | None = None,
    limits: Limits | None = None,
    progress: Callable[[Step], None] | None = None,
    level: float = BASELINE_LEVEL,
) -> RegressReport:
    """Replay a baseline's rows of ``target`` with today's code, and compare message by message.

    A baseline is an earlier attack's results file. Its rows hold their keys, fresh ones too, so
    today's code gets the same secrets and public coins. These keys are now known, so use this only
    to watch your own code. Only a worse result is a failure; the report has every difference. A
    batch that differs is played once more: code that is not deterministic is compared by the paired
    test.

    Raises BadInput if nothing failed and some cell could not fail.
    """

    def again(chosen: Sequence[BatchRow]) -> list[Replay]:
        futures = [
            executor.submit(replay, row, target=target, isolation=isolation, limits=limits)
            for row in chosen
        ]
        played = []
        for done, future in enumerate(futures, start=1):
            played.append(future.result())
            if progress is not None:
                now = played[-1].now
                progress(Step(done, len(futures), cell_of(now.spec_dict), now))
        return played

    played = again(rows)
    moved = [one.now for one in played if not one.equal]
    unsteady = {one.then.cell for one in again(moved) if not one.equal}
    now = [one.now for one in played]
    report = compare(rows, now, level=level, only_worse=True, unsteady=unsteady)
    report.refuse_blind()
    return report
