"""What a build server reads: JUnit, step summary, badge, and the composite action."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from kvbarrier.cli.ci import JUnitCase, junit, write_badge
from kvbarrier.protocols.check.examination import LADDER
from kvbarrier.protocols.check.findings import NO_TIME, CheckReport, Tried

ROOT = Path(__file__).resolve().parents[2]
CACHE = (ROOT / "examples" / "ten_line_cache.py").read_text()
EDGE = CACHE.replace(
    "        return weights", "        V[-3:] *= len(V) % 8 != 3\n        return weights"
)
SMALL = ("--n", "32", "--d", "16", "--keys", "hypercube")


def cases(path: Path) -> dict[str, list[str]]:
    root = ElementTree.parse(path).getroot()
    found = {one.get("name", ""): [f.text or "" for f in one.iter("failure")] for one in root}
    assert int(root.get("tests", "-1")) == len(root)
    assert int(root.get("failures", "-1")) == sum(map(bool, found.values()))
    return found


def test_control_characters_do_not_break_the_xml() -> None:
    text = junit("a\x00<b>", [JUnitCase("x", ["\x1b[31m & \ud800"])])
    assert ElementTree.fromstring(text.split("\n", 1)[1])[0][0].text == "?[31m & ?"


def test_a_check_writes_its_rungs_and_its_faults(kvbarrier, tmp_path, monkeypatch) -> None:
    (tmp_path / "edge.py").write_text(EDGE)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    said = kvbarrier("check", "edge.py", "--junit", "j.xml", "--badge", "b.svg")
    assert said.code == 3
    failed = {name: text for name, text in cases(tmp_path / "j.xml").items() if text}
    assert [name for name in failed if name.startswith("comes-back")]
    assert "| comes-back" in (tmp_path / "summary.md").read_text()
    assert "fault" in (tmp_path / "b.svg").read_text()
    ElementTree.parse(tmp_path / "b.svg")


def test_an_attack_writes_its_points_and_its_gates(kvbarrier, tmp_path) -> None:
    gate = ("--gate", "bit_error.estimate<=0.1")
    said = kvbarrier("attack", "zero", *SMALL, "-m", "2", "-b", "1", *gate, "--junit", "j.xml")
    assert said.code == 1
    found = cases(tmp_path / "j.xml")
    assert found["gates"][0].startswith("bit_error.estimate<=0.1")
    assert found["budget 1: undecided"] == []


def test_a_badge_is_an_svg_or_what_shields_reads(tmp_path: Path) -> None:
    write_badge(tmp_path / "b.json", "kv cache", "1 fault", False)
    assert json.loads((tmp_path / "b.json").read_text()) == {
        "schemaVersion": 1, "label": "kv cache", "message": "1 fault", "color": "critical",
    }  # fmt: skip


def test_a_name_that_no_badge_has_is_refused_before_the_check(kvbarrier) -> None:
    said = kvbarrier("check", "zero", "--badge", "b.gif")
    assert (said.code, said.out) == (2, "")
    assert "b.gif is not a badge's name: give a name that ends in .svg or .json" in said.err


def steps() -> list[dict[str, object]]:
    yaml = pytest.importorskip("ruamel.yaml", reason="comes with the lint extra")
    action = yaml.YAML(typ="safe").load((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    inputs = set(action["inputs"])
    for step in action["runs"]["steps"]:
        for value in step.get("env", {}).values():
            assert value.removeprefix("${{ inputs.").removesuffix(" }}") in inputs
    return action["runs"]["steps"]


@pytest.mark.parametrize(("cache", "code"), [(CACHE, 0), (EDGE, 3)])
def test_the_actions_step_runs_in_somebodys_repository(
    tmp_path: Path, cache: str, code: int
) -> None:
    (tmp_path / "my cache.py").write_text(cache)
    step = steps()[-1]
    environment = {
        "TARGET": "my cache.py", "EXPECT": "", "PARAM": "", "SECONDS_LIMIT": "120",
        "GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "sum.md"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    assert set(step["env"]) == {"TARGET", "EXPECT", "PARAM", "SECONDS_LIMIT"}
    done = subprocess.run(
        ["bash", "-e", "-c", str(step["run"])], cwd=tmp_path, env=os.environ | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert (tmp_path / "output").read_text() == "junit=kvbarrier-junit.xml\n"
    assert cases(tmp_path / "kvbarrier-junit.xml")
    assert "### kvbarrier: my cache.py" in (tmp_path / "sum.md").read_text()


def test_what_ends_an_attack_is_no_green_test(kvbarrier, tmp_path) -> None:
    # Exit code 3: some messages fail. Every test of the JUnit file passed.
    text = CACHE.replace(
        "        self.tokens.append",
        "        if len(self.tokens) == 10 and 3 < v.sum() < 8:\n"
        "            raise MemoryError\n        self.tokens.append",
    )
    (tmp_path / "fails.py").write_text(text)
    for _ in range(8):  # a rehearsal that fails ends it before
        said = kvbarrier("attack", "fails.py", *SMALL, "-m", "16", "-b", "1", "--junit", "j.xml")
        if (tmp_path / "j.xml").exists():
            break
    assert said.code == 3
    assert "ran out of memory" in cases(tmp_path / "j.xml")["messages"][0]


def test_a_case_that_still_fails_is_no_green_test(kvbarrier, tmp_path) -> None:
    (tmp_path / "ten.py").write_text(CACHE)
    said = kvbarrier(
        "attack", "ten.py", *SMALL, "-m", "1", "-b", "1/4", "--expect", "keeps=all",
        "--save-case", "case.json", "--isolation", "process",
    )  # fmt: skip
    assert said.code == 1
    said = kvbarrier(
        "check", "--case", "case.json", "ten.py", "--junit", "j.xml", "--badge", "b.json"
    )
    assert said.code == 3
    (found,) = cases(tmp_path / "j.xml").values()
    assert found[0].startswith("It still fails")
    assert json.loads((tmp_path / "b.json").read_text())["color"] == "critical"


def test_what_was_not_tried_is_not_green(kvbarrier, tmp_path, monkeypatch) -> None:
    tried = [Tried(one.name, one.title, "nothing found", 0.1) for one in LADDER]
    tried[-1] = Tried("life", "operations", NO_TIME, 8.0)
    report = CheckReport("exact", (), tuple(tried[1:]))
    monkeypatch.setattr("kvbarrier.protocols.check.ladder.check", lambda *_, **__: report)
    said = kvbarrier("check", "exact", "--junit", "j.xml", "--badge", "b.json")
    assert said.code == 0
    root = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert root.get("skipped") == "2"
    assert len(root.findall("testcase/skipped")) == 2
    assert json.loads((tmp_path / "b.json").read_text()) == {
        "schemaVersion": 1, "label": "kv cache",
        "message": f"2 of {len(LADDER)} laws not tried", "color": "inactive",
    }  # fmt: skip


def test_a_summary_that_cannot_be_written_is_refused_before(kvbarrier, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "missing/summary.md")
    for argv in (("attack", "zero", *SMALL, "-m", "1"), ("check", "exact")):
        said = kvbarrier(*argv)
        assert said.code == 2
        assert not said.out
        assert "unset GITHUB_STEP_SUMMARY" in said.err
