"""Every write, fsync and rename fails once, in every way; nothing that was kept is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.files import StorageFailed
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.runs import faults
from kvbarrier.runs.results import ResultsFile, ResultsWarning, read_results, write_results
from kvbarrier.runs.rows import HEADER, BatchRow

Row = Callable[..., BatchRow]
MakeCell = Callable[..., Cell]


def store_all(path: Path, rows: list[BatchRow]) -> None:
    with ResultsFile(path) as store:
        for row in rows:
            store.append(row)


def count_points(work: Callable[[], None]) -> int:
    with faults.armed(0) as fault:
        work()
    return fault.count


@pytest.fixture(name="rows")
def _rows(row: Row, cell: MakeCell) -> list[BatchRow]:
    return [row(cell(), batch) for batch in range(2)]


def test_a_full_disk_at_every_point_of_a_new_file(tmp_path: Path, rows: list[BatchRow]) -> None:
    store_all(tmp_path / "whole.csv", rows)
    whole = (tmp_path / "whole.csv").read_bytes()
    points = count_points(lambda: store_all(tmp_path / "count.csv", rows))
    # Header: write, fsync, fsync of the folder; each row: write, fsync.
    assert points == 3 + 2 * len(rows)
    for at in range(1, points + 1):
        path = tmp_path / f"{at}.csv"
        with (
            faults.armed(at),
            pytest.raises(StorageFailed, match=r"No space is left for .*safe; free some space"),
        ):
            store_all(path, rows)
        # What was appended before the fault is there, and no half of anything.
        kept = max(0, (at - 4) // 2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_results(path) == rows[:kept]
            store_all(path, rows)
        assert path.read_bytes() == whole


def test_the_store_goes_on_after_a_full_disk(tmp_path: Path, rows: list[BatchRow]) -> None:
    with ResultsFile(tmp_path / "r.csv") as store:
        with faults.armed(1), pytest.raises(StorageFailed):
            store.append(rows[0])
        assert store.rows == []
        for row in rows:
            store.append(row)
    assert read_results(tmp_path / "r.csv") == rows


def test_when_even_the_roll_back_fails_nothing_is_appended_behind_it(
    tmp_path: Path, rows: list[BatchRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, length: int) -> None:
        raise OSError(5, "Input/output error")

    path = tmp_path / "r.csv"
    with ResultsFile(path) as store:
        store.append(rows[0])
        monkeypatch.setattr(os, "ftruncate", refuse)
        with faults.armed(1), pytest.raises(StorageFailed):
            store.append(rows[1])
        monkeypatch.undo()
        with pytest.raises(StorageFailed, match="could not be written"):
            store.append(rows[1])
    with pytest.warns(ResultsWarning, match="torn"), ResultsFile(path) as store:
        assert store.rows == rows[:1]


def test_a_full_disk_while_a_torn_line_is_cut(tmp_path: Path, rows: list[BatchRow]) -> None:
    path = tmp_path / "r.csv"
    store_all(path, rows)
    torn = path.read_bytes()[:-9]

    def mend() -> None:
        path.write_bytes(torn)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResultsWarning)
            store_all(path, [])

    points = count_points(mend)
    assert points == 1
    with faults.armed(1), pytest.raises(StorageFailed):
        mend()
    assert read_results(path) == rows[:1]


@pytest.mark.parametrize("before", [False, True])
def test_a_full_disk_at_every_point_of_a_replacement(
    tmp_path: Path, rows: list[BatchRow], before: bool
) -> None:
    # Write, fsync, rename, fsync of the folder: either the old file or the new one is there, whole.
    points = count_points(lambda: write_results(tmp_path / "count.csv", rows))
    assert points == 4
    for at in range(1, points + 1):
        path = tmp_path / f"{at}.csv"
        if before:
            write_results(path, rows[:1])
        with faults.armed(at), pytest.raises(StorageFailed):
            write_results(path, rows)
        if at < 4 and not before:
            assert not path.exists()
        else:
            assert read_results(path) == (rows if at == 4 else rows[:1])
        write_results(path, rows)
        assert read_results(path) == rows


def end_of(work: Callable[[], None], at: int, action: faults.Action) -> int:
    """How a forked process that does ``work`` with one fault armed ends."""
    pid = os.fork()
    if pid == 0:
        try:
            with faults.armed(at, action):
                work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(("action", "code"), [("exit", 99), ("kill", -9)])
def test_a_death_at_every_point(
    tmp_path: Path, rows: list[BatchRow], action: faults.Action, code: int
) -> None:
    store_all(tmp_path / "whole.csv", rows)
    whole = (tmp_path / "whole.csv").read_bytes()
    for at in range(1, 8):
        path = tmp_path / f"{at}.csv"
        assert end_of(lambda path=path: store_all(path, rows), at, action) == code
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kept = read_results(path)
            store_all(path, rows)
        # A row counts from its line end on; its fsync comes after.
        assert kept == rows[: max(0, (at - 3) // 2)]
        assert path.read_bytes() == whole
    assert end_of(lambda: store_all(tmp_path / "8.csv", rows), 8, action) == 0
    for at in range(1, 5):
        path = tmp_path / f"replace-{at}.csv"
        assert end_of(lambda path=path: write_results(path, rows), at, action) == code
        assert path.exists() == (at == 4)
        write_results(path, rows)
        assert path.read_bytes() == whole


def test_the_environment_arms_a_fault(tmp_path: Path) -> None:
    code = (
        "import sys; from kvbarrier.runs.results import ResultsFile; "
        "ResultsFile(sys.argv[1]).__enter__()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "r.csv")],
        env=os.environ | {faults.VARIABLE: "1:kill"},
    )
    assert done.returncode == -9
    assert (tmp_path / "r.csv").read_bytes() == HEADER.encode()[: len(HEADER) // 2]


def test_a_fault_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("x", "3", "3:melt", ":full"):
        monkeypatch.setenv(faults.VARIABLE, text)
        with pytest.raises(BadInput, match="one of full, exit, kill, such as 3:full"):
            faults._from_environment()
    monkeypatch.delenv(faults.VARIABLE)
    assert faults._from_environment() is None
