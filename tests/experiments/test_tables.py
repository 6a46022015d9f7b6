"""Tables filled task by task: stopped anywhere and gone on with, they end with the same bytes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.experiments import tables
from kvbarrier.experiments.experiment import Run
from kvbarrier.experiments.tables import fill, read_table, write_table

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
    recorded = len(parts.read_text().splitlines()) - 1
    with parts.open("ab") as file:
        file.write(torn)
    heard: list[tuple[int, int]] = []
    assert tables_only(filled(tmp_path / "cut", heard)) == whole
    # What was written down is not done again.
    assert heard[0] == (recorded, 11)


def test_what_other_code_made_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    BROKEN.add(21)
    monkeypatch.setattr(tables, "_code", lambda: "another version")
    with pytest.raises(RuntimeError):
        filled(tmp_path)
    first = json.loads((tmp_path / "stage.parts").read_text().splitlines()[0])
    assert first == ["code", "another version"]
    monkeypatch.undo()
    BROKEN.clear()
    DONE.clear()
    filled(tmp_path)
    assert sorted(DONE) == [0, 1, 2, 3, 4, 5, 10, 11, 12, 20, 21, 110, 111, 112]


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
