"""The figure of the non-adaptive experiment: drawn from a table, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from kvbarrier.figures import non_adaptive


def tables() -> tuple[pd.DataFrame, ...]:
    common = {"n": 257, "d": 8, "trials": 400, "level": 0.95}
    patterns = [
        common
        | {"pattern": name, "f": f, "error": (1 - f) / 2, "low": 0.0, "high": 0.6}
        | {"plain": 200, "plain_wrong": 70, "hidden": 200, "hidden_wrong": 66}
        for name in ("sampling", "minimax", "window", "strided")
        for f in (0.25, 0.5)
    ]
    caches = [
        common | {"compressor": name, "memory": 0.02 * at, "error": 0.3, "low": 0.2, "high": 0.4}
        for at, name in enumerate(("sampling kept", "quantized", "exact", "largest key"), start=1)
    ]
    adaptive = [row | {"pattern": name} for row in patterns[:2] for name in ("greedy", "bandit")]
    states = [
        {"state": name, "n": 257, "state_bits": bits, "reads": reads}
        for name, bits, reads in (("address", 8, 1), ("one token and a mean", 1000, 0))
    ]
    time = [{"family": "token", "criterion": "prior 1/2", "n": 257, "reads": 205.0}]
    return tuple(map(pd.DataFrame, (patterns, caches, adaptive, states, time)))


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        non_adaptive.draw(*tables(), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    for changed in (0, 2, 3):
        drawn = tables()
        drawn[changed]["reads" if changed == 3 else "error"] += 0.1
        non_adaptive.draw(*drawn, tmp_path / "c.png")
        assert (tmp_path / "c.png").read_bytes() != (tmp_path / "a.png").read_bytes()


def test_the_lines_and_the_intervals_are_said(monkeypatch, tmp_path: Path) -> None:
    caught = []
    monkeypatch.setattr(non_adaptive, "save", lambda figure, path: caught.append(figure))
    non_adaptive.draw(*tables(), tmp_path / "unused.png")
    [figure] = caught
    left, right, below, last = figure.axes
    for axes in (left, below):
        words = " ".join(text.get_text() for text in axes.texts)
        assert "(1 − f)/2" in words
        assert "(1 − f)/(2 − f)" in words
    assert "read on $D_0$" in below.get_xlabel()
    assert "one token" in " ".join(text.get_text() for text in last.texts)
    assert "not covered by Theorem 19" in right.get_title(loc="left")
    caption = figure.legends[0].get_title().get_text()
    assert "400 independent trials" in caption
    assert "95 % intervals" in caption
