"""bound, list, new, replay, plot, regress: their output is what their users read."""

from __future__ import annotations

import csv
import json

import pytest

SMALL = ("--n", "32", "--d", "16", "--keys", "hypercube")


@pytest.mark.parametrize(("eta", "scale"), [("0.5", 10.041), ("0", 8.819), ("0.9", 12.112)])
def test_bound_on_the_whole_kerdock_set(kvbarrier, eta: str, scale: float) -> None:
    said = kvbarrier("bound", "--keys", "kerdock", "--d", "64", "--eta", eta, "--json")
    bound = json.loads(said.out)
    assert (bound["n"], bound["coherence"]) == (4096, 1 / 8)
    assert bound["scale"] == pytest.approx(scale, abs=6e-4)
    assert bound["secret_bits"] == 4096 * 64
    # 1 - h(1/10) = .5310044 (Fano at success .9); a 16-bit cache holds 32 bits a secret bit.
    assert bound["bound_bits"] == pytest.approx(0.5310044064107188 * 4096 * 64)
    assert bound["bound_bits_per_token"] == pytest.approx(0.5310044064107188 * 64)
    assert bound["compression_ratio_limit"] == pytest.approx(32 / 0.5310044064107188)


def test_bound_for_people_says_what_it_rests_on(kvbarrier) -> None:
    said = kvbarrier("bound", "--n", "64", "--d", "32")
    assert said.err == ""
    for words in ("success probability", "logit range", "bits per number"):
        assert words in said.out


@pytest.mark.parametrize("kind", ["compressors", "readers", "reductions", "keys", "experiments"])
def test_list_speaks_json(kvbarrier, kind: str) -> None:
    said = kvbarrier("list", kind, "--json")
    assert json.loads(said.out)[kind]
    names = kvbarrier("list", kind).out.split()
    assert len(names) == len(set(names)) > 2
    assert all(name in kvbarrier("list", kind, "--long").out for name in names[:3])


def test_lists_say_which_rule_is_answered(kvbarrier) -> None:
    compressors, reductions = (
        {
            row["name"]: row["attention"]
            for row in json.loads(kvbarrier("list", kind, "--json").out)[kind]
        }
        for kind in ("compressors", "reductions")
    )
    assert {name for name, rule in compressors.items() if rule == "tensor"} == {
        "four-cache", "two-cache",
    }  # fmt: skip
    assert {name: rule for name, rule in reductions.items() if rule != "softmax"} == {
        "sliding-window": "unmasked-window", "tensor": "tensor",
    }  # fmt: skip


def test_new_writes_a_reader_that_plays_as_it_is(kvbarrier) -> None:
    told = kvbarrier("new", "reads.py", "--kind", "reader")
    assert "attack reads.py --reduction indistinguishability" in told.err
    play = ("attack", "reads.py", "--reduction", "indistinguishability", "--n", "33", "--d", "4")
    said = kvbarrier(*play, "--messages", "64", "--sweep", "share=0.5,1", "--json")
    assert said.code == 0, said.err
    half, whole = json.loads(said.out)["points"]
    assert (half["f"], half["failed"]) == (0.5, 0)
    # It reads tokens and not streams: what it has not read it takes for D_0.
    assert half["error_plain"]["estimate"] == 0.0
    assert half["error"]["low"] <= half["line"]["prior"] <= half["error"]["high"]
    assert (whole["f"], whole["worst_case"]) == (1.0, 0.0)


def test_new_writes_a_plug_in_that_attacks_as_it_is(kvbarrier) -> None:
    assert kvbarrier("new", "mine.py").code == 0
    again = kvbarrier("new", "mine.py")
    assert (again.code, "exists already" in again.err) == (2, True)
    said = kvbarrier("attack", "mine.py", *SMALL, "--budget", "1/2", "--messages", "4", "--json")
    assert said.code == 0, said.err
    [point] = json.loads(said.out)["points"]
    assert point["failed"] == 0
    assert not point["over_budget"]
    assert point["isolation"] in ("namespaces", "process")


def test_replay_of_a_row_is_equal(kvbarrier) -> None:
    kvbarrier(
        "attack", "reservoir", *SMALL, "--budget", "1/2", "--messages", "8", "--resume", "r.csv"
    )
    with open("r.csv", newline="") as file:
        cell = next(csv.DictReader(file))["cell"]
    said = kvbarrier("replay", "r.csv", cell[:8], "0", "--json")
    replayed = json.loads(said.out)
    assert (said.code, replayed["equal"], replayed["different_messages"]) == (0, True, [])
    assert kvbarrier("replay", "r.csv", cell, "7").code == 2
    assert "does not name exactly one cell" in kvbarrier("replay", "r.csv", "zzzz", "0").err


def test_plot_draws_merged_files(kvbarrier, tmp_path) -> None:
    for name in ("zero", "lossless"):
        kvbarrier(
            "attack", name, *SMALL, "--budget", "1", "--messages", "4", "--resume", f"{name}.csv"
        )
    assert kvbarrier("plot", "zero.csv", "lossless.csv", "--out", "both.png").code == 0
    assert (tmp_path / "both.png").stat().st_size > 10_000
    for kind, start in (("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")):
        path = tmp_path / f"both.{kind}"
        assert kvbarrier("plot", "zero.csv", "lossless.csv", "--out", path).code == 0
        first = path.read_bytes()
        assert first.startswith(start)
        kvbarrier("plot", "zero.csv", "lossless.csv", "--out", path)
        assert path.read_bytes() == first
    said = kvbarrier("plot", "zero.csv", "--out", "both.gif")
    assert (said.code, ".png, .svg or .pdf" in said.err.replace("\n", " ")) == (2, True)


def test_every_exit_code_has_a_line_of_its_own(kvbarrier) -> None:
    lines = [line.strip() for line in kvbarrier("--help").out.splitlines()]
    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "70 ", "130, 143 "):
        assert any(line.startswith(code) for line in lines), code
