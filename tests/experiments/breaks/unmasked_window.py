"""Breaks of the claims about the unmasked sliding window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from breaks.tables import Break, column, frame
from kvbarrier.experiments.unmasked_window.measure import ATTACK, MEMORY, SCALE
from kvbarrier.experiments.unmasked_window.ordinary_streams import BOOSTED, SAMPLES, SUM, UNBIASED
from kvbarrier.runs.results import read_results, write_results
from kvbarrier.runs.rows import BatchRow


def one_wrong_bit(folder: Path) -> None:
    """One of the running sum's bits is wrong at full size."""

    def change(row: BatchRow) -> BatchRow:
        if row.compressor != "running-sum" or "window" in row.spec_dict["params"]:
            return row
        first, *rest = row.wrong_by_age
        return replace(row, wrong_by_age=((first[0] + 1, *first[1:]), *rest), wrong_by_row=None)

    path = folder / ATTACK
    write_results(path, [change(row) for row in read_results(path)])


BREAKS: dict[str, Break] = {
    "window.attack": one_wrong_bit,
    # A millionth of a nat more for every nat of ln n.
    "window.scale": column(SCALE, "tight_scale", lambda c: c + 1e-9 * c.index),
    # Memory that grows by a twentieth of a slope from line to line.
    "window.memory": column(MEMORY, "charged_bits", lambda c: (c * 1.05 ** (c.index // 3)).round()),
    "window.unbiased": column(UNBIASED, "mean", lambda c: c + 0.04),
    "window.boosted": frame(
        BOOSTED, lambda rows: rows.assign(failures=rows["runs"] // 4, low=0.2, high=0.3)
    ),
    "window.samples": column(SAMPLES, "rms", lambda c: c**0.8),
    "window.running-sum": column(SUM, "relative_error", lambda c: c * 10),
}
