"""The declared rows of the MLX engine, which any interpreter can read."""

from __future__ import annotations

import re
from pathlib import Path

from kvbarrier.compressors.engines.mlx.rows import OUT_OF_REACH, ROWS
from kvbarrier.compressors.engines.schemes import scheme_of

PINS = Path(__file__).resolve().parents[3] / "compressors" / "engines" / "mlx" / "pins.txt"


def test_the_rows_are_settings_of_this_engine_and_none_comes_twice() -> None:
    settings = {(row.target, *sorted(row.params.items())) for row in ROWS}
    assert len(settings) == len(ROWS) >= 25
    assert {scheme_of(row.target).name for row in ROWS} == {"mlx"}  # type: ignore[union-attr]
    assert all(row.declared is None or 0 < row.declared <= 1 for row in ROWS)
    assert not {row.target for row in ROWS} & OUT_OF_REACH.keys()


def test_all_that_the_rows_judge_is_pinned() -> None:
    lines = [line for line in PINS.read_text().splitlines() if line and not line.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    assert {row.distribution for row in ROWS} <= pinned.keys()
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pinned.values())
