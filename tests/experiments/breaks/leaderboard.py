"""Breaks of the leaderboard's claims: the played rows are changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from breaks.error_vs_memory import charged_times, wrong_times
from breaks.tables import Break, column
from kvbarrier.experiments.leaderboard import measure as leaderboard
from kvbarrier.runs.results import read_results, write_results
from kvbarrier.runs.rows import BatchRow


def rows_of(compressor: str, change: Callable[[BatchRow], BatchRow], on: str = "index") -> Break:
    """Change the rows of one compressor on the streams of one reduction."""

    def apply(folder: Path) -> None:
        path = folder / leaderboard.TABLE
        rows = read_results(path)
        chosen = [
            row.compressor == compressor and row.spec_dict["instance"]["reduction"] == on
            for row in rows
        ]
        write_results(
            path, [change(row) if mine else row for row, mine in zip(rows, chosen, strict=True)]
        )

    return apply


def two_fifths_wrong(row: BatchRow) -> BatchRow:
    wrong = tuple(tuple(2 * asked // 5 for asked in ages) for ages in row.asked_by_age)
    return replace(row, wrong_by_age=wrong, wrong_by_row=None)


BREAKS: dict[str, Break] = {
    # A quarter of the secret's length and no error: information theory forbids it, and so does the
    # interval of 32 messages, which ends below the floor of .21.
    "leaderboard.possible": rows_of("lossless", charged_times(0.5)),
    "leaderboard.fano": rows_of("lossless", charged_times(0.25)),
    "leaderboard.eviction": column(leaderboard.HELD, "held", lambda held: held * 0.8),
    "leaderboard.heavy-hitters": rows_of("h2o", two_fifths_wrong, "heavy-hitters"),
    "leaderboard.twins": column(leaderboard.TWINS, "answers", lambda same: same | True),
    "leaderboard.recency": rows_of("reservoir", wrong_times(0.1), "recency"),
}
