"""The run behind `attack --reduction indistinguishability`: its document, sentences, exit codes."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.cli.query_attack import attack_queries
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.game import coins
from kvbarrier.protocols.game.query_game import QueryInstance
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.runs import query_attack

ROOT = Path(__file__).resolve().parents[2]
READERS = ROOT / "tests" / "protocols" / "readers.py"
EXAMPLE = ROOT / "examples" / "strided_reader.py"
ADAPTIVE = ROOT / "examples" / "adaptive_reader.py"
FIELDS = {
    "algorithm", "params", "source", "n", "d", "eta", "family", "trials", "failed", "f", "f_max",
    "cells_planned", "cells_asked", "error", "error_plain", "error_hidden", "error_rarest",
    "worst_case", "line", "guarantee", "adaptive",
}  # fmt: skip


def attack(target, **changes) -> int:
    given = {
        "n": 33, "d": 4, "eta": 0.5, "params": {}, "sweep": {}, "messages": 64, "isolation": None,
        "limits": Limits(20, 512 << 20), "out": None, "as_json": True,
    }  # fmt: skip
    return attack_queries(str(target), **(given | changes))


def test_json_is_one_document(capfd) -> None:
    assert attack("sampling") == 0
    said = capfd.readouterr()
    document = json.loads(said.out)
    assert document["schema"] == 1
    assert document["isolation"] == "inline"
    assert [p["params"]["share"] for p in document["points"]] == [0.25, 0.5, 0.75, 1.0]
    for point in document["points"]:
        assert set(point) == FIELDS
        assert point["error"]["trials"] == point["trials"] == 64
        assert point["line"]["prior"] == (1 - point["f"]) / 2
        assert point["line"]["worst_case"] == (1 - point["f_max"]) / (2 - point["f_max"])
        assert point["line"]["verdict"] == "not-excluded"
        assert point["error"]["low"] <= point["line"]["prior"] <= point["error"]["high"]
        assert point["error_rarest"]["trials"] == 16
    assert document["points"][-1]["guarantee"] == "undecided"  # 16 trials on a place are too few


def test_people_get_a_table_with_both_lines(capfd) -> None:
    assert attack("window", params={"share": 0.5}, as_json=False) == 0
    said = capfd.readouterr()
    assert said.err == ""
    for part in (
        "f: share of the n-1 hideable tokens",
        "(1-f)/2",
        "(1-f)/(2-f)",
        "0.2500",
        "broken",
    ):
        assert part in " ".join(said.out.split())


def test_a_guarantee_is_decided_by_enough_trials(capfd) -> None:
    assert attack("sampling", params={"share": 1.0}, messages=200, as_json=False) == 0
    said = capfd.readouterr()
    assert "not-broken means: on this family of streams" in said.out


def test_a_plug_in_plays_apart_with_a_key_of_its_own(capfd, tmp_path: Path) -> None:
    assert attack(EXAMPLE, params={"stride": 4}, messages=32, out=tmp_path / "out") == 0
    document = json.loads(capfd.readouterr().out)
    assert document["isolation"] in ("process", "namespaces")
    [point] = document["points"]
    # 32, 28, .., 4, 0 are read, of which 32 is public.
    assert point["f"] == 8 / 32
    assert point["error_rarest"]["place"] == 1
    assert point["error_rarest"]["estimate"] == 1.0
    assert json.loads((tmp_path / "out" / "verdict.json").read_text()) == document
    with (tmp_path / "out" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 32 + 8
    assert {row["draw"] for row in rows} == {"prior", "rarest"}
    # 32 bytes in hex from the operating system: the committed key is in every plug-in's reach.
    [key] = {row["key"] for row in rows}
    assert len(key) == 64
    assert bytes.fromhex(key) not in coins.COMMITTED_KEYS.values()
    assert all(len(row["commitment"]) == 64 for row in rows)
    assert sum(row["error"] == "True" for row in rows[:32]) / 32 == point["error"]["estimate"]


def test_the_example_that_reads_all_makes_no_error(capfd) -> None:
    assert attack(EXAMPLE, params={"stride": 1}, messages=16) == 0
    [point] = json.loads(capfd.readouterr().out)["points"]
    assert (point["f"], point["error"]["estimate"], point["worst_case"]) == (1.0, 0.0, 0.0)


def test_the_guide_shows_the_example() -> None:
    code = EXAMPLE.read_text().partition('"""\n\n')[2]
    assert code.startswith("import numpy")
    assert code in (ROOT / "docs" / "non-adaptive.md").read_text()


def test_the_guides_adaptive_reader_is_judged_on_what_it_reads_on_d_0(capfd) -> None:
    assert (
        ADAPTIVE.read_text().partition('"""\n\n')[2]
        in (ROOT / "docs" / "non-adaptive.md").read_text()
    )
    assert attack(ADAPTIVE, messages=16, isolation="process") == 0
    [point] = json.loads(capfd.readouterr().out)["points"]
    assert (point["adaptive"], point["f"], point["error"]["estimate"]) == (True, 1.0, 0.0)
    # All 33 keys and the newest value; on a D_i it stopped before.
    assert point["cells_planned"] == (33 + 1) * 4
    assert point["cells_asked"] < point["cells_planned"]
    assert attack("greedy", params={"share": 0.5}, messages=8, as_json=False) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "greedy, adaptive: D_0 against D_i" in said
    assert "that it reads on D_0." in said


def test_failed_trials_are_exit_code_3(capfd) -> None:
    code = attack(f"{READERS}:Bad", params={"how": "raise"}, isolation="inline", as_json=False)
    assert code == 3
    assert "failed: The algorithm raised KeyError" in capfd.readouterr().out


def test_reading_outside_the_plan_is_a_plug_in_failure() -> None:
    with pytest.raises(PluginFailure, match="value 7, coordinate 1") as caught:
        attack(f"{READERS}:Outside")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("target", "changes", "part"),
    [
        ("samplin", {}, "Did you mean 'sampling'"),
        ("exact", {}, "is a compressor"),
        ("sampling", {"params": {"shar": 1}}, "Did you mean 'share'"),
        ("sampling", {"params": {"share": 1}, "sweep": {"share": (0, 1)}}, "give it once"),
        ("sampling", {"n": 1}, "give n >= 2"),
        ("sampling", {"eta": 1.0}, "needs 0 < eta < 1"),
        ("sampling", {"messages": 0}, "must be 1 or more, not 0"),
        ("sampling", {"isolation": "proces"}, "Did you mean 'process'"),
    ],
)
def test_bad_input_is_one_sentence(target: str, changes, part: str) -> None:
    with pytest.raises(BadInput) as caught:
        attack(target, **changes)
    assert part in str(caught.value)


# -- verdicts ---------------------------------------------------------------------------------


def test_an_error_below_the_line_is_impossible_at_last() -> None:
    # Never an error with f = 0: each trial multiplies the wealth of a whole stake by two.
    for trials, verdict in ((39, "not-excluded"), (41, "impossible")):
        told = query_attack.line_verdict(np.zeros(trials), [0.0] * trials)
        assert told["verdict"] == verdict
        assert told["bits"] == pytest.approx(trials + math.log2(0.8), abs=0.01)
    assert query_attack.line_verdict(np.zeros(100), [1.0] * 100)["verdict"] == "not-excluded"


def test_a_verdict_says_what_it_could_have_caught() -> None:
    # A coin a trial. 40 + log2(1/.8) = 40.3 trials without an error are needed, and no reader of
    # everything is ever below its line 0.
    def could(trials: int, f: float) -> float | None:
        told = query_attack.line_verdict(np.ones(trials), [f] * trials)
        return told["could_catch"]["error"]

    assert could(40, 0.0) is None
    assert could(41, 0.0) is not None
    assert could(4000, 1.0) is None
    # Spread errors at the rate that is named are caught, and a few more are not.
    error = could(2000, 0.0)
    assert error is not None
    for rate, verdict in ((error, "impossible"), (error + 0.02, "not-excluded")):
        spread = np.diff(np.floor(rate * np.arange(2001)))
        assert query_attack.line_verdict(spread, [0.0] * 2000)["verdict"] == verdict


def test_chance_does_not_convict_the_best_reader() -> None:
    rng = np.random.default_rng(3)
    for f in (0.1, 0.5, 0.9):
        wrong = (rng.random(2000) < (1 - f) / 2).astype(float)
        assert query_attack.line_verdict(wrong, [f] * 2000)["bits"] < 10


def test_ours_are_swept_and_a_plug_in_is_not() -> None:
    instance = QueryInstance(33, 4)
    assert len(query_attack.QueryAttack("sampling", instance).settings()) == 4
    assert query_attack.QueryAttack("sampling", instance, {"share": 0.5}).settings() == [
        {"share": 0.5}
    ]
    assert query_attack.QueryAttack("mine.py", instance).settings() == [{}]
    crossed = query_attack.QueryAttack("mine.py", instance, {"c": 1}, {"a": (1, 2), "b": (3, 4)})
    assert len(crossed.settings()) == 4
