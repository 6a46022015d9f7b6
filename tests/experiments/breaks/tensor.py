"""Breaks of the claims about tensor attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from breaks.tables import Break, column
from kvbarrier.experiments.tensor.measure import LAYOUTS, PLAYED
from kvbarrier.runs.results import read_results, write_results
from kvbarrier.runs.rows import BatchRow


def rows_of(table: str, compressor: str, change: Callable[[BatchRow], BatchRow]) -> Break:
    """Change the played rows of one compressor."""

    def apply(folder: Path) -> None:
        rows = read_results(folder / table)
        changed = [change(row) if row.compressor == compressor else row for row in rows]
        write_results(folder / table, changed)

    return apply


def one_wrong_bit(row: BatchRow) -> BatchRow:
    first, *rest = row.wrong_by_age
    return replace(row, wrong_by_age=((first[0] + 1, *first[1:]), *rest), wrong_by_row=None)


def third_of_the_errors(row: BatchRow) -> BatchRow:
    return replace(
        row,
        wrong_by_age=tuple(tuple(k // 3 for k in ages) for ages in row.wrong_by_age),
        wrong_by_row=None,
    )


BREAKS: dict[str, Break] = {
    "tensor.decodes": rows_of(PLAYED, "four-cache", one_wrong_bit),
    "tensor.rejects": rows_of(PLAYED, "time-sharing", third_of_the_errors),
    # The products would answer what their factors do not.
    "tensor.products": column(LAYOUTS, "answers_apart", lambda c: c + 0.01),
}
