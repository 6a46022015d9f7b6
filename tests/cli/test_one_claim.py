"""A claim is repeated by its name."""

from __future__ import annotations

import csv


def test_one_claim_is_judged_alone_with_its_evidence(kvbarrier, tmp_path) -> None:
    said = kvbarrier("experiments", "run", "--claim", "fano.bound", "--out", "o")
    assert said.code == 0, said.err
    assert "fano.bound holds: " in said.out
    assert "1 of 1 claims hold" in said.out
    with (tmp_path / "o" / "claims.csv").open(newline="") as file:
        assert [row["claim"] for row in csv.DictReader(file)] == ["fano.bound"]


def test_an_unknown_claim_and_no_name_are_told(kvbarrier) -> None:
    said = kvbarrier("experiments", "run", "--claim", "spike.ordr")
    assert (said.code, "Did you mean 'spike.order'?" in said.err) == (2, True)
    assert kvbarrier("experiments", "run").code == 2
