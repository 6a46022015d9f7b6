"""Breaks of the claims about error against memory: the played rows are changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from breaks.tables import Break
from kvbarrier.experiments.error_vs_memory import measure as error_vs_memory
from kvbarrier.runs.results import read_results, write_results
from kvbarrier.runs.rows import BatchRow


def rows_of(compressor: str, change: Callable[[BatchRow], BatchRow]) -> Break:
    """Change the rows of one compressor in the played table."""

    def apply(folder: Path) -> None:
        path = folder / error_vs_memory.TABLE
        rows = read_results(path)
        write_results(path, [change(r) if r.compressor == compressor else r for r in rows])

    return apply


def wrong_times(factor: float) -> Callable[[BatchRow], BatchRow]:
    def change(row: BatchRow) -> BatchRow:
        scaled = tuple(tuple(int(k * factor) for k in ages) for ages in row.wrong_by_age)
        return replace(row, wrong_by_age=scaled, wrong_by_row=None)

    return change


def one_wrong_bit(row: BatchRow) -> BatchRow:
    first, *rest = row.wrong_by_age
    return replace(row, wrong_by_age=((first[0] + 1, *first[1:]), *rest), wrong_by_row=None)


def charged_times(factor: float) -> Callable[[BatchRow], BatchRow]:
    return lambda row: replace(row, charged=tuple(int(m * factor) for m in row.charged))


BREAKS: dict[str, Break] = {
    # A quarter of the secret's length and no error: information theory forbids it.
    "memory.possible": rows_of("lossless", charged_times(0.25)),
    # Golay's rate with half of Golay's errors lies below the curve at .110.
    "memory.fano": rows_of("covering-code", wrong_times(0.2)),
    "memory.lossless": rows_of("lossless", charged_times(1.01)),
    "memory.eviction": rows_of("reservoir", wrong_times(0.6)),
    "memory.time-sharing": rows_of("time-sharing", wrong_times(0.6)),
    "memory.codes": rows_of("covering-code", wrong_times(1.6)),
    "memory.trellis": rows_of("trellis-code", wrong_times(1.02)),
    "memory.guess": rows_of("zero", wrong_times(0.8)),
    "memory.floats": rows_of("exact", one_wrong_bit),
}
