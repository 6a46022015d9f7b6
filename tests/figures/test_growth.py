"""The figure of growth: drawn from its table, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from kvbarrier.figures import growth, style


def table() -> pd.DataFrame:
    return pd.DataFrame([
        {"target": target, "budget": "1", "d": d, "n": n, "rows": 64, "secret_bits": n * d,
         "seconds": 1e-9 * d * n**power, "seconds_median": 1.1e-9 * d * n**power,
         "peak_bytes": 16 * n * d, "cache_bytes": 8 * n * d, "read_seconds": 1e-10 * n * d}
        for target, power in (("exact", 1.0), ("h2o", 2.0))
        for d in (64, 128) for n in (1024, 4096, 16384)
    ])  # fmt: skip


def test_equal_tables_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name in "ab":
        growth.draw(table(), tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    for column in ("seconds", "peak_bytes", "read_seconds"):
        rows = table()
        growth.draw(rows.assign(**{column: 2 * rows[column]}), tmp_path / "c.svg")
        assert (tmp_path / "c.svg").read_bytes() != (tmp_path / "a.svg").read_bytes(), column


def test_the_exponents_are_said(monkeypatch, tmp_path: Path) -> None:
    caught = []
    monkeypatch.setattr(style, "save", lambda figure, path: caught.append(figure))
    growth.draw(table(), tmp_path / "unused.png")
    labels = [text.get_text() for text in caught[0].legends[0].get_texts()]
    # log(1.1)/log 4 = .07 to both sides.
    wanted = ["exact: exp 0.93 to 1.07", "h2o: exp 1.93 to 2.07", "reading K and V once"]
    assert labels == wanted
