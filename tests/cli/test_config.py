"""Defaults of options from the project's file."""

from __future__ import annotations

import json

import pytest

ATTACK = "n = 32\nd = 16\nkeys = 'hypercube'\nbudget = ['1/4', 1]\nmessages = 2\n"


def budgets(said) -> list[float]:
    assert said.code == 0, said.err
    points = json.loads(said.out)["points"]
    assert {point["n"] for point in points} == {32}
    return [point["budget"] for point in points]


@pytest.mark.parametrize(
    ("name", "title"), [("kvbarrier.toml", "attack"), ("pyproject.toml", "tool.kvbarrier.attack")]
)
def test_a_project_has_its_own_defaults(kvbarrier, tmp_path, monkeypatch, name, title) -> None:
    (tmp_path / name).write_text(f"[{title}]\n{ATTACK}")
    assert budgets(kvbarrier("attack", "zero", "--json")) == [0.25, 1.0]
    # What is said goes before what stands in the file.
    assert budgets(kvbarrier("attack", "zero", "--json", "--budget", "1/2")) == [0.5]
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert budgets(kvbarrier("attack", "zero", "--json")) == [0.25, 1.0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[attack]\nbudgets = 1\n", "attack has no option 'budgets'. Did you mean 'budget'?"),
        ("[attack]\nn = [1, 2]\n", "takes one n, not a list"),
        ("attack = 3\n", "attack must be a table of options, [attack]"),
        ("[attack\n", "cannot be read"),
        (
            "[attack]\nn = 'many'\n",
            "--n must be a whole number of at most 1099511627776, not 'many'",
        ),
    ],
)
def test_a_file_that_cannot_be_meant_is_one_sentence(kvbarrier, tmp_path, text, says) -> None:
    (tmp_path / "kvbarrier.toml").write_text(text)
    said = kvbarrier("attack", "zero")
    assert said.code == 2
    assert says in said.err
    assert "Traceback" not in said.err


def test_what_is_above_the_verbs_is_for_all_that_have_it(kvbarrier, tmp_path) -> None:
    (tmp_path / "kvbarrier.toml").write_text("n = 32\nd = 16\nmessages = 1\nwords = 'of others'\n")
    assert budgets(kvbarrier("attack", "zero", "--json", "--budget", "1")) == [1.0]
    assert kvbarrier("list", "keys").code == 0


def test_another_projects_file_says_nothing(kvbarrier, tmp_path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert kvbarrier("attack", "zero", "--n", "32", "--d", "16", "-m", "1", "-q").code == 0
