"""Tables filled task by task: stopped anywhere and gone on with, they end with the same bytes."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.compressors.plugin.code_identity import closure, identity
from kvbarrier.errors import BadInput
from kvbarrier.experiments.error_vs_memory import measure as error_vs_memory
from kvbarrier.experiments.kit import tables
from kvbarrier.experiments.kit.run import Run
from kvbarrier.experiments.kit.tables import fill, make, read_table, write_table
from kvbarrier.experiments.registry import NAMES, get
from kvbarrier.runs.executors import SerialExecutor

GALLERY = Path(__file__).resolve().parents[2] / "figures" / "gallery"
DONE: list[int] = []
BROKEN: set[int] = set()


def one(number: int) -> dict[str, object]:
    if number in BROKEN:
        raise RuntimeError("stopped here")
    DONE.append(number)
    return {"number": np.int64(number), "root": np.sqrt(np.float64(number)), "nan": float("nan")}


def several(number: int) -> list[dict[str, object]]:
    return [one(number), one(number + 100)]


def two_tables(number: int) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    return [one(number)], [{"twice": 2 * number}]


TABLES = {
    "a.csv": [(one, (k,)) for k in range(6)],
    "b.csv": [(several, (k,)) for k in range(10, 13)],
    ("c.csv", "d.csv"): [(two_tables, (k,)) for k in (20, 21)],
}


@pytest.fixture(autouse=True)
def clean():
    DONE.clear()
    BROKEN.clear()


def filled(folder: Path, heard: list[tuple[int, int]] | None = None) -> dict[str, bytes]:
    def hear(stage: str, done: int, total: int) -> None:
        if heard is not None:
            heard.append((done, total))

    with ThreadPoolExecutor(1) as executor:
        fill(Run(folder, "quick", executor, hear), "stage", TABLES)
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()}


def tables_only(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name.endswith(".csv")}


def test_rows_stand_in_the_order_of_the_tasks(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    files = filled(tmp_path, heard)
    assert set(tables_only(files)) == {"a.csv", "b.csv", "c.csv", "d.csv"}
    assert not [name for name in files if name.endswith((".parts", ".partial"))]
    assert list(read_table(tmp_path, "b.csv")["number"]) == [10, 110, 11, 111, 12, 112]
    assert list(read_table(tmp_path, "d.csv")["twice"]) == [40, 42]
    # csv writes the shortest text that reads back as the same float
    assert files["a.csv"].splitlines()[3] == f"2,{2**0.5!r},nan".encode()
    assert heard[0] == (0, 11)
    assert heard[-1] == (11, 11)


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    before = filled(tmp_path)
    DONE.clear()
    assert filled(tmp_path) == before
    assert DONE == []


@pytest.mark.parametrize("torn", [b"", b'["abc", {"numb', b'["abc", [1, 2]]'])
@pytest.mark.parametrize("stop", [0, 3, 12, 21])
def test_stopped_and_gone_on_with_equals_uninterrupted(
    tmp_path: Path, stop: int, torn: bytes
) -> None:
    whole = tables_only(filled(tmp_path / "whole"))
    BROKEN.add(stop)
    with pytest.raises(RuntimeError, match="stopped here"):
        filled(tmp_path / "cut")
    BROKEN.clear()
    parts = tmp_path / "cut" / "stage.parts"
    recorded = len(parts.read_text().splitlines())
    with parts.open("ab") as file:
        file.write(torn)
    heard: list[tuple[int, int]] = []
    assert tables_only(filled(tmp_path / "cut", heard)) == whole
    # What was written down is not done again.
    assert heard[0] == (recorded, 11)


def stopped_by_hand(number: int) -> dict[str, object]:
    if number in BROKEN:
        raise KeyboardInterrupt
    return one(number)


def test_one_worker_keeps_what_it_has_when_it_is_interrupted(tmp_path: Path) -> None:
    job = Run(tmp_path, "quick", SerialExecutor())
    BROKEN.add(3)
    with pytest.raises(KeyboardInterrupt):
        fill(job, "stage", {"a.csv": [(stopped_by_hand, (k,)) for k in range(6)]})
    assert DONE == [0, 1, 2]
    BROKEN.clear()
    fill(job, "stage", {"a.csv": [(stopped_by_hand, (k,)) for k in range(6)]})
    assert DONE == [0, 1, 2, 3, 4, 5]


def other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks' module is another version."""
    usual = tables._code
    monkeypatch.setattr(tables, "_code", lambda name: usual(name) + "x" * (name == __name__))


ALL = [0, 1, 2, 3, 4, 5, 10, 11, 12, 20, 21, 110, 111, 112]


def test_what_other_code_had_begun_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BROKEN.add(21)
    with monkeypatch.context() as patch:
        other_code(patch)
        with pytest.raises(RuntimeError):
            filled(tmp_path)
    BROKEN.clear()
    DONE.clear()
    heard: list[tuple[int, int]] = []
    filled(tmp_path, heard)
    assert sorted(DONE) == ALL
    assert (heard[0], heard[-1]) == ((0, 11), (11, 11))


def test_a_table_of_other_code_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        other_code(patch)
        filled(tmp_path)
    (tmp_path / "a.csv").write_text("an old table\n")
    DONE.clear()
    files = filled(tmp_path)
    assert sorted(DONE) == ALL
    assert files["a.csv"].startswith(b"number,root,nan")
    DONE.clear()
    assert filled(tmp_path) == files
    assert DONE == []


def test_a_table_without_its_mark_and_one_of_another_scale_are_made_again(tmp_path: Path) -> None:
    filled(tmp_path)
    DONE.clear()
    (tmp_path / ".b.csv.made-by").unlink()
    filled(tmp_path)
    assert sorted(DONE) == [10, 11, 12, 110, 111, 112]
    DONE.clear()
    with ThreadPoolExecutor(1) as executor:
        fill(Run(tmp_path, "full", executor), "stage", {"a.csv": [(one, (k,)) for k in range(7)]})
    assert sorted(DONE) == [0, 1, 2, 3, 4, 5, 6]


def rows_of(job: Run, count: int) -> list[dict[str, object]]:
    return [one(number) for number in range(count)]


def test_a_table_made_at_once_stands_for_its_code_scale_and_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(1) as executor:
        quick, full = Run(tmp_path, "quick", executor), Run(tmp_path, "full", executor)
        for job, count, done in ((quick, 2, 2), (quick, 2, 0), (quick, 3, 3), (full, 3, 3)):
            DONE.clear()
            make(job, "t.csv", rows_of, count)
            assert len(DONE) == done
        DONE.clear()
        other_code(monkeypatch)
        make(full, "t.csv", rows_of, 3)
        assert len(DONE) == 3


def test_an_edit_of_an_experiments_module_moves_its_tables(tmp_path: Path) -> None:
    """On a copy: the mark is the digest of the closure, which moves with every module in it."""
    for text in ("from measured import row\n", "import json\n"):
        (tmp_path / "experiment.py").write_text(text)
        (tmp_path / "measured.py").write_text("def row(): ...\n")
        before = identity([tmp_path / "experiment.py"])
        (tmp_path / "measured.py").write_text("def row(): return 1\n")
        assert (identity([tmp_path / "experiment.py"]) != before) == ("measured" in text)


@pytest.mark.parametrize("name", NAMES)
def test_the_code_of_an_experiment_is_reached_from_its_own_module(name: str) -> None:
    module = sys.modules[get(name).run.__module__]
    assert module.__file__ is not None
    reached = closure([Path(module.__file__).resolve()])
    assert "errors.py" in reached
    # Who plays compressors by their names plays all of them; the others none but those they import.
    plays = "compressors/targets.py" in reached
    assert plays == ("compressors/zoo/eviction/h2o.py" in reached)


def test_a_finish_makes_the_rows(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        fill(
            Run(tmp_path, "quick", executor),
            "stage",
            {"sum.csv": [(one, (k,)) for k in range(4)]},
            {"sum.csv": lambda rows: [{"sum": sum(row["number"] for row in rows)}]},
        )
    assert list(read_table(tmp_path, "sum.csv")["sum"]) == [6]


def test_two_runs_do_not_fill_one_folder(tmp_path: Path) -> None:
    with tables.locked(tmp_path / "stage.parts"), pytest.raises(BadInput, match="another run"):
        filled(tmp_path)


def test_a_missing_table_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no table .*x\.csv: run the experiment first"):
        read_table(tmp_path, "x.csv")


def test_no_half_of_a_table_is_ever_there(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", [{"a": 1}])
    with pytest.raises(ValueError, match="not in fieldnames"):
        write_table(tmp_path / "t.csv", [{"a": 2}, {"b": 3}])
    assert (tmp_path / "t.csv").read_text() == "a\n1\n"


def test_curves_come_in_the_same_order_whatever_was_played_first() -> None:
    rows = error_vs_memory.ROWS.read(GALLERY)
    names = [point["series"] for point in error_vs_memory.points(rows)]
    backwards = [point["series"] for point in error_vs_memory.points(rows[::-1])]
    assert names == backwards
    assert list(dict.fromkeys(names))[:4] == [
        "zero",
        "time-sharing",
        "covering-code",
        "trellis-code",
    ]
