"""Claims that none is caught: what has no power is undecided, a judge who sees nothing fails."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from breaks.error_vs_memory import wrong_times
from breaks.tables import column, frame
from kvbarrier.experiments.error_vs_memory import measure as error_vs_memory
from kvbarrier.experiments.kit import planted
from kvbarrier.experiments.kit.experiment import Judgement
from kvbarrier.experiments.non_adaptive import claims as non_adaptive_claims
from kvbarrier.experiments.registry import get
from kvbarrier.experiments.scaling import measure as scaling
from kvbarrier.protocols.evidence.ledger import FamilyLedger
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.points import judge_rows
from kvbarrier.runs.results import Results, read_results, write_results
from kvbarrier.runs.rows import BatchRow
from kvbarrier.runs.runner import run_cells
from kvbarrier.runs.stopping import FixedMessages

GALLERY = Path(__file__).resolve().parents[2] / "figures" / "gallery"
CHECKS = (planted.none_impossible, planted.none_below_fano)
Check = Callable[[list[BatchRow]], Judgement]


@pytest.fixture(scope="module")
def table() -> list[BatchRow]:
    return read_results(GALLERY / error_vs_memory.TABLE)


def chosen(table: list[BatchRow], *compressors: str) -> list[BatchRow]:
    return [row for row in table if row.compressor in compressors]


def test_a_cheat_answers_the_same_messages(table: list[BatchRow]) -> None:
    [run] = planted.points_played(chosen(table, "zero"))
    cheat = planted.without_errors(run)
    assert sum(sum(row.wrong) for row in run) > 0
    assert sum(sum(row.wrong) for row in cheat) == 0
    for before, after in zip(run, cheat, strict=True):
        assert (before.id, before.charged, before.asked) == (after.id, after.charged, after.asked)


@pytest.mark.parametrize("check", CHECKS)
def test_points_at_which_nothing_could_be_caught_decide_nothing(
    check: Check, table: list[BatchRow]
) -> None:
    # Sixteen bits a number for a secret of one bit a number: M/N = 32.
    judged = check(chosen(table, "exact"))
    assert judged.verdict == "undecided"
    assert re.search(r"at 0 (of the 0 )?points", judged.evidence)


@pytest.mark.parametrize("check", CHECKS)
def test_a_planted_cheat_is_counted(check: Check, table: list[BatchRow]) -> None:
    # M/N = 0, 1/8, .. 7/8 and 1. The ledger sees 64 messages at all but the last; the interval ends
    # at .0593, so it sees M/N < 1 - h(.0593) = .675.
    judged = check(chosen(table, "zero", "time-sharing", "lossless"))
    assert judged.verdict == "holds"
    seen = 8 if check is planted.none_impossible else 6
    assert re.search(rf"at {seen} (of the 8 )?points", judged.evidence)
    assert f"planted at each: {seen} " in judged.evidence


@pytest.mark.parametrize("check", CHECKS)
def test_a_cheat_in_the_table_is_caught(check: Check, table: list[BatchRow]) -> None:
    cheat = replace_wrong(chosen(table, "time-sharing"))
    assert check(cheat).verdict == "fails"


def replace_wrong(rows: list[BatchRow]) -> list[BatchRow]:
    return [wrong_times(0)(row) for row in rows]


def test_a_ledger_that_convicts_nobody_fails_the_claim(
    monkeypatch: pytest.MonkeyPatch, table: list[BatchRow]
) -> None:
    monkeypatch.setattr(planted, "family_ledger", lambda ledgers: FamilyLedger(0.0, 41.0, ()))
    judged = planted.none_impossible(chosen(table, "zero", "time-sharing"))
    assert judged.verdict == "fails"
    assert "planted at each: 0 named" in judged.evidence


def test_an_interval_that_reaches_one_fails_the_claim(
    monkeypatch: pytest.MonkeyPatch, table: list[BatchRow]
) -> None:
    from kvbarrier.protocols.evidence import evidence
    from kvbarrier.runs import points

    monkeypatch.setattr(evidence, "interval", lambda errors, level: (0.0, 1.0))
    monkeypatch.setattr(points, "_judged", points._judged.__wrapped__)  # verdicts are remembered
    judged = planted.none_below_fano(chosen(table, "zero", "time-sharing"))
    assert judged.verdict == "fails"
    assert "planted at each: 0 seen" in judged.evidence


@pytest.mark.parametrize("name", ["memory.possible", "memory.fano"])
def test_a_table_of_long_messages_leaves_the_claim_undecided(name: str, tmp_path: Path) -> None:
    shutil.copy(GALLERY / error_vs_memory.TABLE, tmp_path)
    path = tmp_path / error_vs_memory.TABLE
    write_results(
        path, [replace(row, charged=(row.secret,) * row.size) for row in read_results(path)]
    )
    [claim] = [claim for claim in get("error-vs-memory").claims if claim.name == name]
    assert claim.check(tmp_path).verdict == "undecided"


def test_patterns_that_read_everything_decide_nothing(tmp_path: Path) -> None:
    shutil.copy(GALLERY / non_adaptive_claims.PATTERNS, tmp_path)
    column(non_adaptive_claims.PATTERNS, "f", lambda f: 0 * f + 1)(tmp_path)
    [claim] = [c for c in get("non-adaptive").claims if c.name == "nonadaptive.patterns"]
    assert claim.check(tmp_path).verdict == "undecided"


def test_a_limit_that_nothing_comes_near_is_not_shown_to_be_one(tmp_path: Path) -> None:
    shutil.copy(GALLERY / scaling.TABLE, tmp_path)
    [claim] = [c for c in get("scaling").claims if c.name == "scaling.limit"]
    assert claim.check(tmp_path).verdict == "holds"
    frame(scaling.TABLE, lambda rows: rows[rows["compressor"] != "trellis-code"])(tmp_path)
    judged = claim.check(tmp_path)
    assert judged.verdict == "fails"
    assert "stands at 1.5" in judged.evidence


def test_a_cheat_is_planted_in_rows_that_carry_counts_by_row() -> None:
    """Rows as they are played: the gallery's have lost theirs."""
    cell = Cell(Index(n=32, d=16, keys="hypercube"), "zero", batch_size=2)
    [outcome] = run_cells([cell], Results(), stopping=FixedMessages(2), isolation="inline")
    rows = list(outcome.rows)
    assert all(row.wrong_by_row for row in rows)
    assert judge_rows(rows).wrong_bits > 0
    assert judge_rows(planted.without_errors(rows)).wrong_bits == 0
