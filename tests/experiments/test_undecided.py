"""Where the data cannot tell, a claim is neither held nor refuted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from breaks.tables import column
from breaks.tensor import PLAYED, rows_of
from kvbarrier.experiments.non_adaptive.measure import TIME
from kvbarrier.experiments.registry import NAMES, get
from kvbarrier.runs.rows import BatchRow

GALLERY = Path(__file__).resolve().parents[2] / "figures" / "gallery"
CLAIMS = {claim.name: claim for name in NAMES for claim in get(name).claims}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("nonadaptive.time", "tensor.rejects"):
        for table in CLAIMS[name].data:
            shutil.copy(GALLERY / table, tmp_path)
    return tmp_path


def fewer_errors(row: BatchRow) -> BatchRow:
    """An error of about .11, above 1/10, but the interval of 32 messages reaches below."""
    fewer = tuple(tuple(9 * k // 20 for k in a) for a in row.wrong_by_age)
    return replace(row, wrong_by_age=fewer, wrong_by_row=None)


def test_an_interval_across_one_tenth(folder: Path) -> None:
    rows_of(PLAYED, "time-sharing", fewer_errors)(folder)
    assert CLAIMS["tensor.rejects"].check(folder).verdict == "undecided"


def test_a_share_that_is_known_too_badly(folder: Path) -> None:
    """Half an interval is past 8/9 - 4/5: it does not tell one criterion from the other."""
    column(TIME, "relative_error", lambda c: 4 * c)(folder)
    assert CLAIMS["nonadaptive.time"].check(folder).verdict == "undecided"
