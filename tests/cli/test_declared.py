"""A declaration from the command line, and its counterexample played again."""

import json
from pathlib import Path

import pytest

GAME = ("--n", "24", "--d", "32", "--keys", "hypercube", "-m", "2", "--budget", "free")
PLUGINS = Path(__file__).parents[1] / "runs" / "declared_plugins.py"


@pytest.fixture
def attacked(kvbarrier, tmp_path):
    (tmp_path / "mine.py").write_text(PLUGINS.read_text())

    def run(name, *options):
        return kvbarrier("attack", f"mine.py:{name}", *GAME, "--isolation", "inline", *options)

    return run


def test_a_false_declaration_is_exit_code_1_and_leaves_a_case(attacked, kvbarrier, tmp_path):
    said = attacked("Window", "--param", "says=8", "--param", "has=7")
    assert said.code == 1
    assert "not-as-declared: keeps=last:8" in said.out
    assert "token 17 of 24, layer 0, head 0, channel" in said.out
    (case,) = tmp_path.glob("kvbarrier-case-*.json")
    assert f"kvbarrier check --case {case.name}" in said.err
    said = kvbarrier("check", "--case", case.name)
    assert said.code == 3
    assert "It still fails: token 17 of 24" in said.out
    text = (tmp_path / "mine.py").read_text()
    (tmp_path / "mine.py").write_text(text.replace("maxlen=has or says", "maxlen=says"))
    said = kvbarrier("check", "--case", case.name, "--json")
    assert said.code == 0
    assert json.loads(said.out)["fails"] is False
    (tmp_path / "mine.py").unlink()
    said = kvbarrier("check", "--case", case.name)
    assert said.code == 2
    assert "mine.py is not there" in said.err
    case.write_text(case.read_text()[:-10])
    said = kvbarrier("check", "--case", case.name)
    assert said.code == 2
    assert "not a case, or it is torn" in said.err


def test_words_of_the_command_line(attacked, tmp_path):
    said = attacked("Window", "--expect", "keeps=first:1,last:7", "--save-case", "one.json")
    assert said.code == 1
    assert "token 0 of 24" in said.out
    assert json.loads((tmp_path / "one.json").read_text())["declares"] == ["keeps=first:1,last:7"]
    said = attacked("Window", "--expect", "exact", "--expect", "bits=2")
    assert said.code == 2
    assert "exact and bits=2 contradict each other" in said.err
    assert attacked("Window", "--expect", "keeps=last:7").code == 0


def test_a_projects_words_hold_where_the_target_declares_nothing(attacked, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.kvbarrier.attack]\nexpect = ["keeps=last:24"]')
    assert "as-declared: keeps=last:8" in attacked("Window").out
    assert "not-as-declared: bits=3" in attacked("Unpacked", "--expect", "bits=3").out
    said = attacked("Recent")
    assert said.code == 1
    assert "not-as-declared: keeps=last:24" in said.out


def test_memory_that_was_not_declared_is_exit_code_1_without_a_case(attacked, tmp_path):
    said = attacked("Unpacked")
    assert said.code == 1
    assert "32.0 bits a number measured, 3 declared" in said.out
    assert "compression never engaged" in said.out
    assert not list(tmp_path.glob("kvbarrier-case-*.json"))


def test_a_gate_by_the_declaration(attacked):
    assert attacked("Window", "--gate", "declared==as-declared").code == 0
    said = attacked("Recent", "--gate", "declared==as-declared")
    assert said.code == 1
    assert "measured declared = None" in said.err


def test_json_has_the_verdict_and_the_counterexample(attacked):
    said = attacked("Window", "--param", "says=8", "--param", "has=7", "--json")
    document = json.loads(said.out)
    (point,) = document["points"]
    assert point["guarantee"]["verdict"] in ("broken", "undecided")
    assert point["declared"]["verdict"] == "not-as-declared"
    assert point["declared"]["words"] == ["keeps=last:8"]
    assert {place["token"] for place in point["declared"]["places"]} == {17}
    case = document["counterexample"]
    assert case["question"]["token"] == 17
    assert case["play"]["message"] == point["declared"]["places"][0]["message"]
    (point,) = json.loads(attacked("Recent", "--json").out)["points"]
    assert point["declared"] is None
