"""A played table is about today's code: what other code played of its cells leaves it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.experiments.kit.played import Played, play_table
from kvbarrier.experiments.kit.run import Run
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.results import read_results, write_results
from kvbarrier.runs.rows import newest

CELLS = [
    Cell(Index(n=32, d=16, keys="hypercube"), name, batch_size=2) for name in ("zero", "exact")
]


def test_a_check_is_given_the_rows_of_the_newest_code_as_points(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        play_table(Run(tmp_path, "quick", executor), "t.csv", CELLS, 4)
    mine = read_results(tmp_path / "t.csv")
    older = [replace(row, source="older") for row in mine if row.compressor == "zero"]
    write_results(tmp_path / "t.csv", [*older, *mine])
    assert Played("t.csv", list).read(tmp_path) == mine
    found = [(p["compressor"], p["messages"]) for p in Played("t.csv").read(tmp_path)]
    assert found == [("zero", 4), ("exact", 4)]


def test_after_an_edit_and_its_undoing_todays_rows_are_judged(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        job = Run(tmp_path, "quick", executor)
        play_table(job, "t.csv", CELLS, 4)
        mine = read_results(tmp_path / "t.csv")
        edited = [replace(row, source="edited") for row in mine if row.compressor == "zero"]
        # As after the edit: its rows are the last, and so they were the newest for good.
        write_results(tmp_path / "t.csv", [*mine, *edited])
        assert "edited" in {row.source for row in newest(read_results(tmp_path / "t.csv"))}
        play_table(job, "t.csv", CELLS, 4)
        assert read_results(tmp_path / "t.csv") == mine
        # A table of which other cells are played in another call keeps them.
        play_table(job, "t.csv", CELLS[:1], 4)
        assert read_results(tmp_path / "t.csv") == mine


def test_a_table_is_read_once_until_it_changes(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        play_table(Run(tmp_path, "quick", executor), "t.csv", CELLS, 4)
    asked = []
    table = Played("t.csv", lambda rows: asked.append(len(rows)) or rows)
    mine = table.read(tmp_path)
    assert table.read(tmp_path) is mine
    write_results(tmp_path / "t.csv", mine[1:])
    assert table.read(tmp_path) == mine[1:]
    assert asked == [len(mine), len(mine) - 1]
    (tmp_path / "t.csv").unlink()
    with pytest.raises(BadInput):
        table.read(tmp_path)
