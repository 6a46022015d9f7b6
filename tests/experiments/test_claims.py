"""Every claim holds on the committed tables, and fails when its statement is broken in them.

The breaks of an experiment are in ``breaks``, in the module of its name.
"""

from __future__ import annotations

import importlib
import shutil
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pandas as pd
import pytest
from kvbarrier.cli.listing import _experiments
from kvbarrier.errors import BadInput
from kvbarrier.experiments.kit.experiment import Judgement
from kvbarrier.experiments.registry import ENGINES, NAMES, get

GALLERY = Path(__file__).resolve().parents[2] / "figures" / "gallery"
CLAIMS = {claim.name: claim for name in (*NAMES, *ENGINES) for claim in get(name).claims}
BREAKS = {
    claim: apply
    for name in (*NAMES, *ENGINES)
    for claim, apply in importlib.import_module(f"breaks.{name.replace('-', '_')}").BREAKS.items()
}


def tables_of(name: str, folder: Path) -> Path:
    """A folder with the committed tables of a claim alone, to be changed."""
    for table in CLAIMS[name].data:
        shutil.copy(GALLERY / table, folder)
    return folder


@cache
def committed(name: str) -> Judgement:
    """What a claim says of the committed tables, which no test changes."""
    return CLAIMS[name].check(GALLERY)


def test_every_claim_has_a_break() -> None:
    assert set(BREAKS) == set(CLAIMS)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_holds_on_the_committed_tables(name: str) -> None:
    judgement = committed(name)
    assert judgement.verdict == "holds", judgement.evidence


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_fails_when_its_statement_is_broken(name: str, tmp_path: Path) -> None:
    folder = tables_of(name, tmp_path)
    BREAKS[name](folder)
    assert CLAIMS[name].check(folder).verdict == "fails"


def test_the_committed_claims_are_what_the_committed_tables_say() -> None:
    shown = pd.read_csv(GALLERY / "claims.csv").set_index("claim")
    for name in CLAIMS:
        judgement = committed(name)
        assert tuple(shown.loc[name, ["verdict", "evidence"]]) == (
            judgement.verdict,
            judgement.evidence,
        )


def test_a_threshold_set_after_the_first_data_is_marked_wherever_the_claim_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = get("error-vs-memory")
    late = replace(one.claims[0], preregistered=False)
    changed = replace(one, claims=(late, *one.claims[1:]))
    monkeypatch.setattr("kvbarrier.experiments.error_vs_memory.EXPERIMENT", changed)
    listed = {row["claim"]: row["statement"] for row in _experiments()}
    assert listed[late.name] == f"{late.statement} (threshold set after the first data)"
    assert listed[one.claims[1].name] == one.claims[1].statement


def test_the_committed_claims_say_the_statements_of_the_code() -> None:
    shown = pd.read_csv(GALLERY / "claims.csv").set_index("claim")["statement"]
    assert dict(shown) == {name: claim.sentence for name, claim in CLAIMS.items()}


def test_no_two_claims_share_a_check() -> None:
    def identity(check: object) -> object:
        if isinstance(check, partial):
            return check.func, repr(check.args), repr(check.keywords)
        return check

    assert len({identity(claim.check) for claim in CLAIMS.values()}) == len(CLAIMS)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_reads_its_own_tables_and_no_others(name: str, tmp_path: Path) -> None:
    claim, folder = CLAIMS[name], tables_of(name, tmp_path)
    assert claim.check(folder).verdict == "holds"
    for table in claim.data:
        away = (folder / table).rename(folder / "away")
        with pytest.raises(BadInput):
            claim.check(folder)
        away.rename(folder / table)
