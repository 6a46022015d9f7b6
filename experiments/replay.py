"""One batch of a results file played again: the same key, the same secrets, the same coins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from ..errors import BadInput
from ..protocols.index_game import play_batch, probe_construction
from ..protocols.instance import target_name
from ..protocols.isolation import Limits
from .batches import Played, Refused, row_of, work
from .comparison import RegressReport, compare
from .points import cell_of
from .rows import BatchRow
from .runner import Step

BASELINE_LEVEL = 1e-3
"""Family-wise level of ``attack --baseline``: 16 messages a cell suffice for seven budgets."""


@dataclass(frozen=True)
class Replay:
    """A row as it was and as it is played now."""

    then: BatchRow
    now: BatchRow

    @property
    def isolation(self) -> str:
        """What it was played in now."""
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
        """Whether every message came out as before."""
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
    """Play a row's batch again, in its isolation unless another is given.

    ``target`` says where a plug-in's file lies: a row holds its name only. Raises BadInput when the
    row is of another target, and what ``play_batch`` raises.
    """
    cell = cell_of(row.spec_dict)
    if target is not None:
        if target_name(target) != target_name(cell.target):
            raise BadInput(
                f"the row is of '{cell.target}', not of '{target}': give where that lies."
            )
        cell = replace(cell, target=target)
    chosen = isolation or row.isolation
    source = probe_construction(cell, chosen, limits).source
    played: Played | Refused = work(play_batch, cell, row.master_key, row.batch, chosen, limits)
    if isinstance(played, Refused):
        raise played.error()
    return Replay(row, row_of(cell, source, row.batch, row.key, played))


def compare_with_baseline(
    baseline: Sequence[BatchRow],
    target: str,
    *,
    executor: Executor,
    isolation: str | None = None,
    limits: Limits | None = None,
    progress: Callable[[Step], None] | None = None,
) -> RegressReport:
    """Replay a baseline's rows of ``target`` with today's code, and compare message by message.

    A baseline is an earlier attack's results file; its keys are known by now, which is fine for
    watching one's own code and for nothing else. Only what got worse is a failure. Raises BadInput
    when it holds no such rows.
    """
    name = target_name(target)
    rows = [row for row in baseline if row.compressor == name]
    if not rows:
        known = sorted({row.compressor for row in baseline})
        raise BadInput(
            f"the baseline has no rows of '{name}': it has {', '.join(known) or 'none'}."
        )
    futures = [
        executor.submit(replay, row, target=target, isolation=isolation, limits=limits)
        for row in rows
    ]
    played = []
    for done, future in enumerate(futures, start=1):
        played.append(future.result())
        if progress is not None:
            now = played[-1].now
            progress(Step(done, len(futures), cell_of(now.spec_dict), now))
    return compare(rows, [one.now for one in played], level=BASELINE_LEVEL, only_worse=True)
