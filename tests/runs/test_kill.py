"""Real SIGKILLs: resumed equals uninterrupted, and nothing of ours lives on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from kvbarrier.runs.results import ResultsWarning, read_results
from kvbarrier.runs.rows import union

SCRIPT = Path(__file__).with_name("killed_run.py")


def start(path: Path, game: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), game], stdout=subprocess.PIPE, text=True
    )


def run_to_the_end(path: Path, game: str) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), str(path), game], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def table(path: Path) -> list[tuple[Any, ...]]:
    return [row.id + row.counts() for row in union(read_results(path))]


def descendants(pid: int) -> set[int]:
    """All processes below ``pid``, from /proc."""
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        below.setdefault(parent, []).append(int(stat.parent.name))
    found: set[int] = set()
    front = [pid]
    while front:
        front = [child for parent in front for child in below.get(parent, [])]
        found |= set(front)
    return found


def alive(pids: set[int]) -> set[int]:
    def lives(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    return {pid for pid in pids if lives(pid)}


def kill_after(path: Path, game: str, lines: int, delay: float = 0.0) -> set[int]:
    """Start a run and SIGKILL it after so many lines; return the processes it had."""
    process = start(path, game)
    assert process.stdout is not None
    for _ in range(lines):
        process.stdout.readline()
    time.sleep(delay)
    family = descendants(process.pid)
    while game != "fake" and not family and process.poll() is None:
        family = descendants(process.pid)
    process.kill()
    process.stdout.close()
    assert process.wait() in (-signal.SIGKILL, 0)
    return family


def kill_and_resume(tmp_path: Path, game: str, kills: list[tuple[int, float]]) -> None:
    whole, path = tmp_path / "whole.csv", tmp_path / "killed.csv"
    run_to_the_end(whole, game)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultsWarning)
        for lines, delay in kills:
            kill_after(path, game, lines, delay)
            rows = [row.id + row.counts() for row in read_results(path)]
            assert set(rows) <= set(table(whole))
        run_to_the_end(path, game)
    assert table(path) == table(whole)


def test_killed_runs_resume(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, "fake", [(1, 0.001), (3, 0.0)])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("game", ["process", "inline"])
def test_nothing_outlives_a_killed_run(tmp_path: Path, game: str) -> None:
    path = tmp_path / "r.csv"
    family = kill_after(path, game, 2)
    assert family
    deadline = time.monotonic() + 5.0
    while alive(family) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(family)
    kept = len(read_results(path))
    run_to_the_end(path, game)
    assert 1 <= kept <= len(read_results(path)) == 4


DIES = """
import os, signal, sys
from kvbarrier.cli import main
from kvbarrier.protocols.game.referee import Referee
from kvbarrier.runs import room

room.LONG_STREAM = 1  # every stream is long, and cut into parts
play = Referee.bob


def bob(self, seat, table, facts, number, sent):
    if number == 1:  # in the middle of the second message
        os.kill(os.getpid(), signal.SIGKILL)
    return play(self, seat, table, facts, number, sent)


if sys.argv.pop(1) == "die":
    Referee.bob = bob
main()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are Linux's")
@pytest.mark.parametrize("kind", ["inline", "process"])
def test_a_long_attack_keeps_each_message_and_goes_on_with_the_next(tmp_path: Path, kind: str):
    def attack(how: str, path: Path) -> int:
        # Its lives import no numba, and its errors tell the messages apart.
        command = f"attack zero --n 64 --d 16 --keys bch --rows 16 --budget 1 --messages 3 --isolation {kind} --resume {path}"  # noqa: E501
        return subprocess.run(
            [sys.executable, "-c", DIES, how, *command.split()], capture_output=True, check=False
        ).returncode

    whole, path = tmp_path / "whole.csv", tmp_path / "killed.csv"
    assert attack("live", whole) == 0
    assert attack("die", path) == -signal.SIGKILL
    assert table(path) == table(whole)[:1]
    assert attack("live", path) == 0
    assert table(path) == table(whole)
    assert len(table(whole)) == 3


@pytest.mark.soak
def test_fifty_kills(tmp_path: Path) -> None:
    rng = random.Random(50)
    kill_and_resume(
        tmp_path, "fake", [(rng.randint(1, 3), 0.004 * rng.random()) for _ in range(45)]
    )
    (tmp_path / "real").mkdir()
    kill_and_resume(
        tmp_path / "real", "process", [(rng.randint(1, 2), 0.3 * rng.random()) for _ in range(5)]
    )
