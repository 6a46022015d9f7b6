"""`attack --queries --basis --layers --heads`: which stream is played; several as one verdict."""

from __future__ import annotations

import json

import pytest
from kvbarrier.cli import options
from kvbarrier.protocols.game import instances
from kvbarrier.reductions import stream_family

SMALL = ("--n", "64", "--d", "16", "--eta", "0.3")


def test_the_names_are_those_of_the_mathematics() -> None:
    assert options.QUERY_POLICIES == instances.QUERIES == stream_family.QUERIES
    assert options.BASES == instances.BASES == stream_family.BASES


def points(said) -> list[dict]:
    assert said.code == 0, said.err
    return json.loads(said.out)["points"]


def test_every_option_reaches_the_stream(kvbarrier) -> None:
    base = ("attack", "quantized", *SMALL, "--budget", "1/4", "--messages", "4", "--json")
    [plain] = points(kvbarrier(*base))
    [turned] = points(kvbarrier(*base, "--basis", "rotated"))
    assert (plain["basis"], turned["basis"]) == ("literal", "rotated")
    # Two-valued numbers are free of charge for a min-max quantiser; turned they are not.
    assert plain["wrong_bits"] == 0 < turned["wrong_bits"]
    [wide] = points(kvbarrier(*base, "--layers", "2", "--heads", "3"))
    assert (wide["layers"], wide["heads"]) == (2, 3)
    assert wide["secret_bits"] == 6 * plain["secret_bits"]
    assert wide["compression_ratio"] == pytest.approx(plain["compression_ratio"])
    [told] = points(kvbarrier(*base, "--queries", "self"))
    assert told["queries"] == "self"


def test_all_adversaries_are_one_verdict_with_their_selection_accounted_for(kvbarrier) -> None:
    said = kvbarrier(
        "attack", "reservoir", *SMALL, "--budget", "1/2", "--queries", "all", "--basis", "all",
        "--messages", "16", "--json",
    )  # fmt: skip
    document = json.loads(said.out)
    assert len(document["points"]) == 8
    played = {(p["queries"], p["basis"]) for p in document["points"]}
    assert played == {(q, b) for q in instances.QUERIES for b in instances.BASES}
    nulls = [one["guarantee"]["null"]["name"] for one in document["adversaries"]]
    assert nulls == ["coordinate", "euclidean"]
    for together, basis in zip(document["adversaries"], instances.BASES, strict=True):
        of_it = [p for p in document["points"] if p["basis"] == basis]
        assert together["number"] == len(of_it) == 4
        assert {p["guarantee"]["null"]["name"] for p in of_it} == {nulls.pop(0)}
        assert together["guarantee"]["verdict"] == "broken"
        worst = max(of_it, key=lambda p: p["bit_error"]["estimate"])
        assert together["bit_error"]["estimate"] == worst["bit_error"]["estimate"]
        # Bonferroni: 1 - .05/4.
        assert together["bit_error"]["level"] == pytest.approx(0.9875)
        assert together["worst"] == {name: worst[name] for name in ("queries", "basis", "bob")}
        assert together["bit_error"]["low"] < worst["bit_error"]["low"]


def test_one_adversary_has_no_verdict_of_several(kvbarrier) -> None:
    said = kvbarrier("attack", "zero", *SMALL, "--messages", "2", "--budget", "1", "--json")
    assert json.loads(said.out)["adversaries"] == []


def test_people_see_which_stream_each_row_is(kvbarrier) -> None:
    said = kvbarrier(
        "attack", "zero", *SMALL, "--budget", "1", "--messages", "2", "--queries", "all", "-v"
    )
    assert "all 4 adversaries together" in said.out + said.err
    assert "decoy, literal" in said.out + said.err
    said = kvbarrier(
        "attack", "zero", *SMALL, "--budget", "1", "--messages", "2", "--basis", "rotated"
    )
    text = " ".join((said.out + said.err).split())
    assert "zero queries, rotated basis" in text
    assert (
        "guarantee judged, euclidean: with probability at least 9/10 for each answer, the" in text
    )
    assert "undecided (euclidean)" in text or "broken (euclidean" in text


def test_two_bobs_are_two_lines_of_two_guarantees(kvbarrier) -> None:
    play = (
        "attack", "zero", "--n", "32", "--d", "16", "--gamma", "0.01", "--bob", "best",
        "--budget", "1", "--messages", "8",
    )  # fmt: skip
    said = kvbarrier(*play)
    text = " ".join((said.out + said.err).split())
    assert "all 2 adversaries together, one line per null" in text
    assert "coordinate (1)" in text
    assert "all-at-once (1)" in text
    assert "all n = 32 answers to a message are at once within 0.01 of exact" in text


def test_a_gap_is_said_once_for_all_adversaries(kvbarrier) -> None:
    said = kvbarrier(
        "attack", "quantized", *SMALL, "--budget", "1/64,1/2", "--messages", "2", "--basis", "all",
        "--json",
    )  # fmt: skip
    document = json.loads(said.out)
    assert [gap["budget"] for gap in document["gaps"]] == [1 / 64]
    assert len(document["points"]) == 2


def test_streams_are_for_the_index_game(kvbarrier) -> None:
    said = kvbarrier("attack", "exact", "--reduction", "visual", "--queries", "self")
    assert said.code == 2
    assert "is for --reduction index" in said.err
    said = kvbarrier("attack", "exact", "--queries", "selfish")
    assert said.code == 2


def test_undecided_adversaries_are_drawn_until_the_family_is_decided(kvbarrier) -> None:
    alone = points(kvbarrier("attack", "exact", *SMALL, "--budget", "1", "--json"))
    [kept] = alone
    assert kept["guarantee"]["verdict"] == "not-broken"
    said = kvbarrier("attack", "exact", *SMALL, "--budget", "1", "--basis", "all", "--json")
    both = json.loads(said.out)["adversaries"]
    assert [one["guarantee"]["verdict"] for one in both] == ["not-broken"] * 2


def test_decoys_have_their_victims_evicted(kvbarrier) -> None:
    # 15/16 of the tokens are kept, one bucket is dropped: nearly all that is lost is the victims'.
    said = kvbarrier(
        "attack", "h2o", "--n", "256", "--d", "64", "--budget", "15/16", "--messages", "8",
        "--queries", "decoy", "--json",
    )  # fmt: skip
    [point] = points(said)
    assert point["guarantee"]["worst_bucket"] == stream_family.VICTIM_BUCKET
    assert point["guarantee"]["verdict"] == "broken"
