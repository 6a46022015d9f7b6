"""One engine's rows take the place of its old ones; the others' stay as they are written."""

from __future__ import annotations

import csv
from pathlib import Path

from kvbarrier.experiments.engines.measure import LEFT_OUT, TABLE
from kvbarrier.experiments.engines.one import merge, table_of


def written(path: Path, *lines: str) -> None:
    path.write_text("\r\n".join(lines) + "\r\n")


def test_only_its_rows_are_replaced(tmp_path: Path) -> None:
    whole, played = tmp_path / "gallery", tmp_path / "played"
    whole.mkdir()
    played.mkdir()
    written(whole / TABLE, "target,wire,note", 'hf:a,1.000,"one, two"', "codec:c,0.5,", "mlx:b,2,")
    written(played / table_of("mlx"), "target,wire,constant,note", "mlx:n,3,0.25,new")
    merge("mlx", played, whole)
    with (whole / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["target"] for row in rows] == ["hf:a", "codec:c", "mlx:n"]
    assert rows[0] == {"target": "hf:a", "wire": "1.000", "constant": "", "note": "one, two"}
    assert rows[2]["constant"] == "0.25"
    assert "openvino:u4" in (whole / LEFT_OUT).read_text()
    once = (whole / TABLE).read_bytes()
    merge("mlx", played, whole)
    assert (whole / TABLE).read_bytes() == once
