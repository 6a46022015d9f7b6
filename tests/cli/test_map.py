"""``attack --map`` and the map's sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SMALL = ["--n", "32", "--d", "64", "--messages", "4"]
WINDOW = ["attack", "sliding-window", *SMALL, "--budget", "1/2"]


def test_attack_says_and_draws_what_is_lost(kvbarrier: Any, tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    result = kvbarrier(*WINDOW, "--map", str(path))
    assert result.code == 0
    # 16 tokens fit, and one of them is Bob's own.
    assert "map, budget 1/2: Lost: tokens 0-16, all channels" in " ".join(result.out.split())
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "wrote" in result.err


def test_the_json_document_has_the_map_and_the_counts(kvbarrier: Any) -> None:
    result = kvbarrier(*WINDOW, "--json")
    (point,) = json.loads(result.out)["points"]
    assert point["map"]["tokens"]["ranges"] == [[0, 16]]
    assert point["map"]["kind"] == "place"
    counts = point["wrong_by_place"]
    assert [count > 0 for count in counts["token"]] == [t <= 16 for t in range(32)]
    assert sum(counts["channel"]) == sum(counts["value"]) == point["wrong_bits"]


def test_nothing_is_said_where_nothing_is_lost(kvbarrier: Any) -> None:
    result = kvbarrier("attack", "exact", *SMALL, "--budget", "free")
    assert "map," not in result.out


def test_a_map_that_is_no_picture_is_refused(kvbarrier: Any, tmp_path: Path) -> None:
    result = kvbarrier(*WINDOW, "--map", str(tmp_path / "map.txt"))
    assert result.code == 2
    assert "give --map a name that ends in .png, .svg or .pdf" in result.err.replace("\n", " ")


def test_messages_from_a_file_have_no_map(kvbarrier: Any, tmp_path: Path) -> None:
    kept = tmp_path / "r.csv"
    kvbarrier(*WINDOW, "--resume", str(kept))
    result = kvbarrier(*WINDOW, "--resume", str(kept), "--map", str(tmp_path / "map.png"))
    assert result.code == 0
    assert "is not drawn" in result.err
    assert not (tmp_path / "map.png").exists()


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_other_kinds_of_files(kvbarrier: Any, tmp_path: Path, kind: str) -> None:
    assert kvbarrier(*WINDOW, "--map", str(tmp_path / f"map.{kind}")).code == 0
    assert (tmp_path / f"map.{kind}").stat().st_size > 0
