"""Several targets in one attack: the same secrets, one table, one document, one plot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import kvbarrier as package
import pytest
from kvbarrier.runs.results import ResultsWarning, read_results

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ten_line_cache.py"
SMALL = ("-n", "32", "-d", "16", "--keys", "hypercube", "-m", "4")


def test_one_table_and_a_sentence_for_each(kvbarrier) -> None:
    said = kvbarrier("attack", "zero", "sliding-window", "exact", *SMALL, "-b", "1/4,1")
    assert (said.code, said.err) == (0, "")
    table = said.out[: said.out.index("M/N:")].splitlines()
    assert sum("bit error" in line for line in table) == 1
    head = next(line for line in table if "bit error" in line)
    assert head.split("  ")[-1].strip() == "verdict"
    assert max(map(len, table)) <= 80
    rows = [line.split() for line in table if line.split()[:1] in (["1"], ["1/4"])]
    # By budget, then as they were named: exact does not fit into a quarter of what it holds.
    assert [row[:2] for row in rows] == [
        ["1/4", "zero"], ["1/4", "sliding-window"],
        ["1", "zero"], ["1", "sliding-window"], ["1", "exact"],
    ]  # fmt: skip
    assert "exact does not fit into 1/4: it needs" in said.out
    sentences = [line for line in said.out.splitlines() if " is " in line][-3:]
    assert [line.split()[0] for line in sentences] == ["zero", "sliding-window", "exact"]


def test_the_document_has_the_points_of_all(kvbarrier, tmp_path) -> None:
    play = ("attack", "zero", "sliding-window", *SMALL, "-b", "1/2", "--out", "out", "--json")
    said = kvbarrier(*play, "--map", "map.png")
    document = json.loads(said.out)
    assert [point["compressor"] for point in document["points"]] == ["zero", "sliding-window"]
    assert document["target"] == "zero, sliding-window"
    assert document["family"]["points"] == 2
    assert document == json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert {row.compressor for row in read_results(tmp_path / "out" / "results.csv")} == {
        "zero", "sliding-window",
    }  # fmt: skip
    assert (tmp_path / "out" / "plot.png").stat().st_size > 0
    assert (tmp_path / "map.png").stat().st_size > 0


def test_strangers_and_built_ins_meet_the_same_secrets(kvbarrier, tmp_path) -> None:
    """A file's path tells two of one name apart."""
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        shutil.copy(EXAMPLE, tmp_path / folder / "cache.py")
    targets = ("old/cache.py", "new/cache.py", "sliding-window")
    said = kvbarrier("attack", *targets, *SMALL, "-b", "1/2", "--resume", "r.csv", "--json")
    points = json.loads(said.out)["points"]
    assert [point["compressor"] for point in points] == list(targets)
    # Some 256 of 512 bits a message are guessed: by luck they are not alike in four messages.
    assert points[0]["wrong_bits"] == points[1]["wrong_bits"]
    keys = {row.key for row in read_results(tmp_path / "r.csv")}
    assert len(keys) == 1
    # What is there is not drawn anew, and the next one meets its secrets too.
    shutil.copy(EXAMPLE, tmp_path / "third.py")
    kvbarrier("attack", *targets, "third.py", *SMALL, "-b", "1/2", "--resume", "r.csv")
    assert {row.key for row in read_results(tmp_path / "r.csv")} == keys


def test_built_ins_alone_keep_the_committed_key(kvbarrier, tmp_path) -> None:
    kvbarrier("attack", "zero", "sliding-window", *SMALL, "-b", "1", "--resume", "r.csv")
    assert {row.key for row in read_results(tmp_path / "r.csv")} == {"experiments"}


def test_other_secrets_in_the_file_are_told(kvbarrier, tmp_path) -> None:
    for name in ("one.py", "two.py"):
        shutil.copy(EXAMPLE, tmp_path / name)
        kvbarrier("attack", name, *SMALL, "-b", "1", "--resume", "r.csv")
    with pytest.warns(ResultsWarning, match="messages of two.py with other secrets") as told:
        said = kvbarrier("attack", "one.py", "two.py", *SMALL, "-b", "1", "--resume", "r.csv")
    assert (said.code, len(told)) == (0, 1)


BROKEN = """
class Mine:
    def append(self, q, k, v):
        raise RuntimeError("no room")

    def attend(self, q):
        return q
"""


def test_one_that_fails_does_not_stop_the_others(kvbarrier, tmp_path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    said = kvbarrier("attack", "broken.py", "zero", *SMALL, "-b", "1")
    assert said.code == 3
    assert "zero is broken at 1" in said.out
    assert "broken.py was not played: " in said.err
    assert "no room" in said.err
    document = json.loads(kvbarrier("attack", "zero", "broken.py", *SMALL, "--json").out)
    (one,) = document["unplayed"]
    assert (one["target"], one["exit_code"]) == ("broken.py", 3)
    # Alone, it is the error itself.
    assert kvbarrier("attack", "broken.py", *SMALL).code == 3


def test_a_gate_is_held_against_all_and_says_whose_point_fails(kvbarrier) -> None:
    play = ("attack", "zero", "sliding-window", *SMALL, "-b", "1")
    assert kvbarrier(*play, "--gate", "bit_error.estimate<=0.6").code == 0
    said = kvbarrier(*play, "--gate", "guarantee!=broken")
    assert said.code == 1
    assert "zero at 1: measured guarantee = broken" in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("zero", "zero"), "named twice"),
        (("zero", "H2O"), "Did you mean 'h2o'?"),
        (("zero", "nothing.py"), "nothing.py is not there"),
        (("exact", "zero", "--reduction", "indistinguishability"), "takes one TARGET, not 2"),
    ],
)
def test_a_slip_is_told_before_anything_is_played(kvbarrier, words, says) -> None:
    said = kvbarrier("attack", *words, *SMALL)
    assert (said.code, said.out) == (2, "")
    assert says in said.err


def test_a_baseline_of_several_shares_its_level(kvbarrier) -> None:
    play = ("attack", "zero", "sliding-window", "-n", "32", "-d", "16", "-b", "1", "-m", "16")
    kvbarrier(*play, "--resume", "r.csv")
    said = kvbarrier(*play, "--baseline", "r.csv", "--json")
    document = json.loads(said.out)
    assert (said.code, document["baseline"]["messages"]) == (0, 32)
    assert document["baseline"]["level"] == 1e-3
    alone = kvbarrier("attack", "zero", "exact", "-n", "32", "-d", "16", "--baseline", "r.csv")
    assert (alone.code, "no rows of 'exact'" in alone.err) == (2, True)


def test_python_takes_several_too() -> None:
    said = {"n": 32, "d": 16, "keys": "hypercube", "budget": "free", "messages": 4}
    report = package.attack(["zero", "exact"], **said)
    assert repr(report) == "<attack on zero, exact: 2 points; 1 broken, 1 undecided>"
    assert report.to_frame()["compressor"].tolist() == ["zero", "exact"]
    with pytest.raises(package.BadInput, match="target names nothing"):
        package.attack([])
