"""Every reduction from the terminal: defaults, refusals, and what the tables call things."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "examples" / "ten_line_cache.py"
READER = ROOT / "examples" / "strided_reader.py"
SMALL = {
    "index": ("--n", "32", "--d", "16", "--keys", "hypercube"),
    "sliding-window": ("--n", "40", "--d", "16", "--window", "17"),
    "tensor": ("--n", "16", "--d", "16"),
    "visual": ("--n", "30", "--d", "16"),
}
FULL = {
    "index": "exact",
    "sliding-window": "running-sum",
    "tensor": "four-cache",
    "visual": "exact",
}


@pytest.mark.parametrize("reduction", SMALL)
def test_the_defaults_play(kvbarrier, reduction: str) -> None:
    said = kvbarrier(
        "attack", FULL[reduction], "--reduction", reduction, "--budget", "1", "--messages", "1",
        "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    [point] = json.loads(said.out)["points"]
    assert (point["reduction"], point["wrong_bits"]) == (reduction, 0)
    assert point["keys"] == ("quadratic-form" if reduction == "tensor" else "jl")
    assert point["window"] == (257 if reduction == "sliding-window" else None)


@pytest.mark.parametrize("reduction", SMALL)
def test_a_foreign_cache_plays_any(kvbarrier, tmp_path, reduction: str) -> None:
    play = (
        "attack", CACHE, "--reduction", reduction, *SMALL[reduction], "--budget", "1",
        "--messages", "4", "--resume", "r.csv",
    )  # fmt: skip
    said = kvbarrier(*play, "--gate", "bit_error.estimate<=0.6 @ budget=1")
    assert said.code == 0, said.err
    assert f"{reduction} game" in said.out
    assert ("rule: answers were held to tensor attention" in said.out) == (reduction == "tensor")
    before = (tmp_path / "r.csv").read_bytes()
    again = json.loads(kvbarrier(*play, "--json").out)
    assert (tmp_path / "r.csv").read_bytes() == before
    assert again["points"][0]["failed"] == 0


def test_titles_say_what_is_played(kvbarrier) -> None:
    play = ("attack", "lossless", "--budget", "1", "--messages", "1", "--reduction")
    window = kvbarrier(*play, "sliding-window", *SMALL["sliding-window"]).out
    assert "sliding-window game, jl keys, n = 40, d = 16, W = 17, C = " in window
    tensor = kvbarrier(*play, "tensor", *SMALL["tensor"]).out
    assert "tensor game, quadratic-form keys, n = 16, d = 16, C = " in tensor
    assert "age:" not in tensor
    budget = ("--budget", "1/2", "--messages", "64")
    broken = kvbarrier("attack", "sliding-window", *SMALL["index"], *budget).out
    assert "broken (age " in broken
    assert "of 16, 0 the oldest" in broken


def test_rows_are_sampled_where_the_buckets_are_equal(kvbarrier) -> None:
    play = ("attack", "four-cache", "--reduction", "tensor", "--d", "64", "--rows", "16")
    assert "take --n 57" in kvbarrier(*play).err
    said = kvbarrier(*play, "--n", "57", "--budget", "1", "--messages", "1", "--json")
    [point] = json.loads(said.out)["points"]
    assert (point["asked_bits"], point["wrong_bits"]) == (16 * 64, 0)


def test_what_lives_in_no_default_budget_plays_free(kvbarrier) -> None:
    play = ("attack", "two-cache", "--reduction", "tensor", *SMALL["tensor"], "--messages", "1")
    said = kvbarrier(*play, "--json")
    document = json.loads(said.out)
    [point] = document["points"]
    assert (point["budget"], point["over_budget"], point["wrong_bits"]) == (None, False, 0)
    # fp8: 16 tokens of 2 (16 + 16) numbers, times 1 + 16 / 2; the 16-bit cache has 16384 bits.
    assert {(gap["minimum_bits"], gap["minimum_budget"]) for gap in document["gaps"]} == {
        (8 * 16 * 64 * 9, 4.5)
    }
    assert len(document["gaps"]) == 7
    people = kvbarrier(*play).out
    assert people.count("gap:") == 1
    assert (
        "two-cache does not fit into 1/64, 1/32, 1/16, 1/8, 1/4, 1/2, 1: it needs 73728 bits"
        in people
    )
    assert " free " in people
    asked = json.loads(kvbarrier(*play, "--budget", "free", "--json").out)
    assert [p["charged_bits"] for p in asked["points"]] == [point["charged_bits"]]
    assert asked["gaps"] == []


def test_a_budget_that_was_asked_for_is_not_exceeded(kvbarrier) -> None:
    tensor = ("--reduction", "tensor", *SMALL["tensor"])
    said = kvbarrier("attack", "two-cache", *tensor, "--budget", "1,2")
    assert said.code == 2
    assert "at least 73728 bits. That is 4.5 16-bit caches: --budget free." in said.err
    small = kvbarrier("attack", "exact", *SMALL["index"], "--budget", "1/4")
    assert "That is --budget 0.5." in small.err
    both = kvbarrier(
        "attack", "exact", *SMALL["index"], "--budget", "free,1/2", "--messages", "1", "--json"
    )
    assert [p["budget"] for p in json.loads(both.out)["points"]] == [None, 0.5]


INDISTINGUISHABLE = ("--reduction", "indistinguishability")
REFUSED = [
    (("four-cache",), "four-cache answers tensor attention"),
    (("running-sum",), "attack it with --reduction sliding-window."),
    (("exact", "--reduction", "tensor"), "exact answers softmax attention"),
    (("exact", "--reduction", "tensor", "--keys", "kerdock"), "has no --keys kerdock"),
    (("four-cache", "--reduction", "tensor", "--seed", "1"), "has no --seed 1"),
    (("one-dimension",), "there is no compressor 'one-dimension'"),
    (("exact", "--reduction", "visual", "--rows", "16"), "leave --rows out"),
    (("sampling",), "attack it with --reduction indistinguishability"),
    ((READER,), "attack it with --reduction indistinguishability"),
    (
        ("exact", *INDISTINGUISHABLE),
        "leave --reduction indistinguishability out, or give one of sampling",
    ),
    ((CACHE, *INDISTINGUISHABLE), "attack it without --reduction indistinguishability"),
]


@pytest.mark.parametrize(("argv", "part"), REFUSED, ids=lambda v: str(v[0]) if len(v) < 9 else None)
def test_the_wrong_game_is_one_sentence(kvbarrier, argv: tuple[str, ...], part: str) -> None:
    said = kvbarrier("attack", *argv)
    assert said.code == 2, said.err
    assert said.out == ""
    assert part in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


def test_layers_that_slide_are_counted_apart(kvbarrier) -> None:
    """A window of 33 holds all that layers of window 17 ask, and 32 of 64 tokens of the others."""
    play = (
        "attack", "sliding-window?window=33", "--reduction", "sliding-layers", "--n", "64", "--d",
        "16", "--layers", "4", "--every", "2", "--window", "17", "--messages", "2", "--budget",
        "free",
    )  # fmt: skip
    said = kvbarrier(*play)
    assert "W = 17, every = 2, C = " in " ".join(said.out.split())
    assert "2 layers that slide, 16 tokens in each: 0 of 1,024 bits are wrong." in said.out
    [point] = json.loads(kvbarrier(*play, "--json").out)["points"]
    slides, rest = point["wrong_by_kind"]
    assert (slides["layers"], slides["tokens"], slides["asked_bits"]) == ([0, 2], 16, 1024)
    assert (rest["layers"], rest["tokens"], rest["asked_bits"]) == ([1, 3], 64, 4096)
    # Half of the tokens of layers 1 and 3 are gone: 2 x 2 x 32 x 16 bits, of which half are wrong.
    assert slides["wrong_bits"] == 0
    assert 850 < rest["wrong_bits"] == point["wrong_bits"] < 1200
    assert point["wrong_by_place"]["layer"][0] == point["wrong_by_place"]["layer"][2] == 0
    assert "tokens 0-31, layers" in point["map"]["sentence"]
    # The 16-bit cache is what the layers attend to: 2 x 16 + 2 x 64 tokens.
    assert point["compression_ratio"] == pytest.approx(160 / 132, rel=0.03)
    refused = kvbarrier("attack", "exact", "--every", "2")
    assert (refused.code, "which is for --reduction sliding-layers" in refused.err) == (2, True)
