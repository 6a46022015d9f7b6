"""Every claim holds on the committed tables, and fails when its statement is broken in them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from kvbarrier.experiments import error_vs_memory, scaling, spike
from kvbarrier.experiments.registry import NAMES, get
from kvbarrier.experiments.results import read_results, write_results
from kvbarrier.experiments.rows import BatchRow

GALLERY = Path(__file__).resolve().parents[2] / "figures" / "gallery"
CLAIMS = {claim.name: claim for name in NAMES for claim in get(name).claims}

Break = Callable[[Path], None]


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
        return replace(row, wrong_by_age=scaled)

    return change


def one_wrong_bit(row: BatchRow) -> BatchRow:
    first, *rest = row.wrong_by_age
    return replace(row, wrong_by_age=((first[0] + 1, *first[1:]), *rest))


def charged_times(factor: float) -> Callable[[BatchRow], BatchRow]:
    return lambda row: replace(row, charged=tuple(int(m * factor) for m in row.charged))


def column(table: str, name: str, change: Callable[[pd.Series], pd.Series]) -> Break:
    """Change one column of a CSV table."""

    def apply(folder: Path) -> None:
        frame = pd.read_csv(folder / table)
        frame[name] = change(frame[name])
        frame.to_csv(folder / table, index=False)

    return apply


SPIKE, SCALING = spike.TABLE, scaling.TABLE
BREAKS: dict[str, Break] = {
    # A quarter of the secret's length and no error: information theory forbids it.
    "memory.possible": rows_of("lossless", charged_times(0.25)),
    # Golay's rate with half of Golay's errors lies below the curve at .110.
    "memory.fano": rows_of("covering-code", wrong_times(0.2)),
    "memory.lossless": rows_of("lossless", charged_times(1.01)),
    "memory.eviction": rows_of("reservoir", wrong_times(0.6)),
    "memory.time-sharing": rows_of("time-sharing", wrong_times(0.6)),
    "memory.codes": rows_of("covering-code", wrong_times(1.6)),
    "memory.guess": rows_of("zero", wrong_times(0.8)),
    "memory.floats": rows_of("exact", one_wrong_bit),
    "spike.bounds": column(SPIKE, "max_0", lambda c: c + 0.01),
    "spike.decodes": column(SPIKE, "bit_error", lambda c: c + 1e-6),
    "spike.transition": column(SPIKE, "error_low", lambda c: c * 0.0),
    "spike.order": column(SPIKE, "closed_scale", lambda c: c * 0.5),
    "scaling.n": column(SCALING, "slope", lambda c: c - 0.03),
    "scaling.d": column(SCALING, "slope", lambda c: c + 0.03),
    "scaling.limit": column(SCALING, "charged_bits", lambda c: c // 2),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for table in GALLERY.glob("*.csv"):
        shutil.copy(table, tmp_path)
    return tmp_path


def test_every_claim_has_a_break() -> None:
    assert set(BREAKS) == set(CLAIMS)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_holds_on_the_committed_tables(name: str, folder: Path) -> None:
    judgement = CLAIMS[name].check(folder)
    assert judgement.verdict == "holds", judgement.evidence


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_fails_when_its_statement_is_broken(name: str, folder: Path) -> None:
    BREAKS[name](folder)
    assert CLAIMS[name].check(folder).verdict == "fails"


def test_the_committed_claims_are_what_the_committed_tables_say(folder: Path) -> None:
    committed = pd.read_csv(GALLERY / "claims.csv").set_index("claim")
    for name, claim in CLAIMS.items():
        judgement = claim.check(folder)
        assert tuple(committed.loc[name, ["verdict", "evidence"]]) == (
            judgement.verdict,
            judgement.evidence,
        )
