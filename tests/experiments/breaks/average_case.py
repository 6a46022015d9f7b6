"""Breaks of the claims about the average case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from breaks.tables import Break, column, frame
from kvbarrier.experiments.average_case.measure import PLAYED, THETA
from kvbarrier.protocols.evidence.row_counts import counts_of, text_of
from kvbarrier.runs.results import read_results, write_results


def without_errors(compressor: str) -> Break:
    """Every bit that one algorithm was asked is right, guessed rows too: a side memory."""

    def apply(folder: Path) -> None:
        rows = []
        for row in read_results(folder / PLAYED):
            if row.compressor == compressor:
                zero = tuple(tuple(0 for _ in ages) for ages in row.wrong_by_age)
                texts = tuple(text_of(0 * counts_of(text)) for text in row.wrong_by_row)
                row = replace(row, wrong_by_age=zero, wrong_by_row=texts)
            rows.append(row)
        write_results(folder / PLAYED, rows)

    return apply


BREAKS: dict[str, Break] = {
    "average.theta": column(THETA, "closed", lambda c: c / 100),
    "average.ordinary": frame(
        THETA, lambda t: t.assign(rate=0.8 * t["rate"], rate_at_level=0.8 * t["rate_at_level"])
    ),
    # A tenth of the secret's bits, and no error.
    "average.bound": without_errors("time-sharing"),
    "average.guess": without_errors("exact"),
}
