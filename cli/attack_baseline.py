"""``attack --baseline``: an earlier attack's messages, replayed with today's code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .render import prints_to_stderr, say

if TYPE_CHECKING:
    from ..protocols.players.isolation import Limits


class Baseline:
    """The rows of each target in a baseline; read, and refused, before anything is played.

    Several targets share the level of the comparison.
    """

    def __init__(self, path: Path, targets: Sequence[str]) -> None:
        """Raises BadInput as ``runs.replay.baseline_rows``."""
        from ..runs.replay import BASELINE_LEVEL, baseline_rows

        self._level = BASELINE_LEVEL / len(targets)
        self._rows = {target: baseline_rows(path, target, self._level) for target in targets}

    def against(self, isolation: str | None, limits: Limits, workers: int | None) -> dict[str, Any]:
        """Replay all, say what became of it, and return it as plain data."""
        from ..runs.comparison import RegressReport
        from ..runs.executors import make_executor
        from ..runs.replay import BASELINE_LEVEL, compare_with_baseline

        with make_executor(workers or 1, "process") as executor, prints_to_stderr():
            found = [
                compare_with_baseline(
                    rows, target, executor=executor, isolation=isolation, limits=limits,
                    level=self._level,
                )
                for target, rows in self._rows.items()
            ]  # fmt: skip
        comparisons = tuple(one for report in found for one in report.comparisons)
        report = RegressReport(comparisons, BASELINE_LEVEL, found[0].margin)
        different = [c for c in report.comparisons if c.different]
        count = sum(len(c.different) for c in different)
        say(
            f"baseline: {report.messages} messages replayed, {count or 'none'} with a different "
            f"result; {report.caught}."
        )
        return {
            "messages": report.messages,
            "level": report.level,
            "smallest_shift_caught": report.smallest_shift,
            "moved": [f"{c.compressor} budget={c.budget}: {c.failure}" for c in report.failures],
            "different": [
                {"cell": c.cell, "budget": c.budget, "messages": [d.as_dict() for d in c.different]}
                for c in different
            ],
        }
