"""What people see: results on stdout, at 80 columns, legible at 60; a sentence that sums up."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from kvbarrier.cli.attack_notes import summary
from kvbarrier.cli.render import print_table

SMALL = ("--n", "64", "--d", "16", "--keys", "hypercube")


@pytest.mark.parametrize("target", ["zero", "sliding-window", "h2o"])
def test_the_table_of_an_attack_is_within_80_columns(kvbarrier, target: str) -> None:
    said = kvbarrier("attack", target, *SMALL, "-m", "4", "-b", "1/8,1")
    assert said.err == ""
    lines = said.out.splitlines()
    # Title, rows and caption; the sentences below are whole, a terminal folds them.
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("M/N")) + 1]
    assert max(map(len, table)) <= 80
    head = next(line for line in table if "budget" in line)
    assert head.split("  ")[-1].strip() == "verdict"
    # Legible at 60: the table itself, without its title and its caption.
    assert max(len(line) for line in table if line.startswith(" ")) <= 72


def test_quiet_is_the_sentence_alone_and_verbose_has_every_column(kvbarrier) -> None:
    play = ("attack", "zero", *SMALL, "-m", "8", "-b", "1")
    quiet = kvbarrier(*play, "-q").out
    assert quiet.count("\n") == 1
    assert quiet.startswith("zero is broken at 1 (")
    verbose = kvbarrier(*play, "-v").out
    for word in ("ratio", "floor", "ledger", "guarantee", "messages", "guarantee judged"):
        assert word in verbose
    both = kvbarrier(*play, "-v", "-q")
    assert (both.code, "not both" in both.err) == (2, True)


def point(budget: float | None, verdict: str, error: float, ledger: str = "not-excluded") -> dict:
    return {
        "budget": budget, "guarantee": {"verdict": verdict}, "changed": None,
        "ledger": {"verdict": ledger}, "bit_error": {"estimate": error},
    }  # fmt: skip


def test_the_sentence_names_the_worst_first_and_every_budget() -> None:
    points = [point(0.25, "broken", 0.375), point(0.5, "broken", 0.25), point(1, "not-broken", 0)]
    assert summary("mine", points) == (
        "mine is broken at 1/4, 1/2 (25 to 37.5 % of the bits are wrong, where guessing has 50 %); "
        "not-broken at 1 (0 % of the bits are wrong)."
    )
    cheat = [point(None, "not-broken", 0, "impossible")]
    assert summary("cheat", cheat).startswith("cheat is impossible at free")


def test_a_terminal_without_unicode_gets_plain_rules(monkeypatch, capsys) -> None:
    import sys

    class Ascii:
        encoding = "ascii"

        def __getattr__(self, name):
            return getattr(sys.__stdout__, name)

    from kvbarrier.cli import render

    monkeypatch.setattr(render.sys, "stdout", Ascii())
    assert not render._writes("─")
    assert render._rules().top.strip()  # the other has no line on top
    monkeypatch.undo()
    print_table("title", ["a", "b"], [["x", 1.0]], caption="word " * 40)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_table_that_is_too_wide_becomes_a_list_and_breaks_no_word(capsys) -> None:
    columns = ["budget", "bit error", "95 % interval", "verdict"]
    row = ["1/4", "0.4397", "0.3353 to 0.5608", "undecided"]
    print_table("title", columns, [row], caption="note", width=26)
    assert capsys.readouterr().out.splitlines() == [
        "title", "", "budget: 1/4", "bit error: 0.4397", "95 % interval: 0.3353 to",
        "  0.5608", "verdict: undecided", "", "note",
    ]  # fmt: skip
    # budget 6, error 6, interval 8 and verdict 9: the longest words, 3 columns between, 2 edges
    for width in range(40, 80):
        print_table("title", columns, [row], width=width)
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= width
        assert all(word in text for word in ("budget", "interval", "0.4397", "undecided"))


def in_a_shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run with "kvbarrier" as the program of this interpreter."""
    program = f"{shlex.quote(sys.executable)} -m kvbarrier"
    return subprocess.run(
        ["bash", "-c", command.replace("kvbarrier", program)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_program_without_a_stdout_or_a_stderr_does_its_work(tmp_path: Path, closed: str) -> None:
    """It is no bug of ours, exit code 70, that nobody wants to read what it says."""
    done = in_a_shell(f"kvbarrier list keys {closed}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_goes_away_is_not_a_gate_that_failed(tmp_path: Path) -> None:
    """128 + SIGPIPE, as of every program; 1 is for gates, claims and declarations."""
    done = in_a_shell("kvbarrier list keys | true; exit ${PIPESTATUS[0]}", tmp_path)
    assert (done.returncode, done.stderr) == (141, "")


CACHE = "class Mine:\n    append = attend = lambda self, *_: None\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("attack", "H2O"), "Did you mean 'h2o'?"),
        (("attack", "my_cach.py"), "Did you mean my_cache.py?"),
        (("attack", "my_cache"), "Did you mean the file my_cache.py?"),
        (("attack", "my_cache.py:json"), "has no class 'json'"),
        (("attack", "my_cache.py:"), "nothing on one side of the colon"),
        (("attack", ":"), "nothing on one side of the colon"),
        (("attack", ""), "the name of the compressor is empty"),
        (("attack", "qqqqqqqq"), "'kvbarrier list compressors' shows all"),
        (("attack", "h2o", "--verbos"), "--verbose"),
        (("attack", "h2o", "--baseline", "empty.csv"), "is empty"),
        (("report", "empty.csv"), "no complete batch 0 is in empty.csv"),
        (("atack", "h2o"), "Did you mean 'attack'?"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(kvbarrier, tmp_path, words, says) -> None:
    (tmp_path / "my_cache.py").write_text(f"import json\n{CACHE}")
    (tmp_path / "empty.csv").touch()
    said = kvbarrier(*words)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert len(said.err) < 400
    if words[0] == "attack":
        told = kvbarrier(*words, "--json")
        assert says in json.loads(told.out)["error"]
        assert json.loads(told.out)["exit_code"] == told.code == 2


def test_a_name_with_a_space_is_quoted_for_the_next_command(kvbarrier, tmp_path) -> None:
    assert "kvbarrier check 'a b.py'" in kvbarrier("new", "a b.py").err


def test_a_pipe_gets_progress_as_lines_ever_more_rarely(monkeypatch, capsys) -> None:
    from kvbarrier.cli import options

    seconds = iter([0.0, 1.0, 10.0, 12.0, 40.0])
    monkeypatch.setattr(options.time, "monotonic", lambda: next(seconds))
    with options.progress("attack") as tick:
        for done in (1, 10, 12, 40):
            tick("mine.py", done, 80)
    said = capsys.readouterr()
    assert said.out == ""
    # 10 of 80 in 10 s: 70 s are left; the next line not before 15 s.
    assert said.err.splitlines() == [
        "attack mine.py: 10 of at most 80, at most 70 s left",
        "attack mine.py: 40 of at most 80, at most 40 s left",
    ]
