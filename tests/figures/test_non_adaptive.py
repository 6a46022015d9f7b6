"""The figure of the non-adaptive experiment: drawn from a table, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from kvbarrier.figures import non_adaptive, style


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


def draw(drawn: tuple[pd.DataFrame, ...], path: Path) -> list[bytes]:
    patterns, caches, adaptive, states, time = drawn
    other = path.with_name(f"other-{path.name}")
    non_adaptive.draw_readers(patterns, adaptive, path)
    non_adaptive.draw_memory(caches, states, time, other)
    return [one.read_bytes() if one.exists() else b"" for one in (path, other)]


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    first = draw(tables(), tmp_path / "a.svg")
    assert draw(tables(), tmp_path / "b.svg") == first
    for changed in (0, 1, 2, 3):
        drawn = tables()
        drawn[changed]["reads" if changed == 3 else "error"] += 0.1
        again = draw(drawn, tmp_path / "c.svg")
        assert [one != two for one, two in zip(first, again, strict=True)] == [
            changed in (0, 2), changed in (1, 3),
        ]  # fmt: skip


def test_the_lines_and_the_intervals_are_said(monkeypatch, tmp_path: Path) -> None:
    caught = []
    monkeypatch.setattr(style, "save", lambda figure, path: caught.append(figure))
    draw(tables(), tmp_path / "unused.png")
    readers, memory = caught
    (left, right), (caches, last) = readers.axes, memory.axes
    for axes in (left, right):
        words = " ".join(text.get_text() for text in axes.texts)
        assert "(1 − f)/2" in words
        assert "(1 − f)/(2 − f)" in words
    assert "read on $D_0$" in right.get_xlabel()
    assert "one token" in " ".join(text.get_text() for text in last.texts)
    assert "not covered by Theorem 19" in caches.get_title(loc="left")
    caption = readers.legends[0].get_title().get_text()
    assert "400 independent trials" in caption
    assert "95 % intervals" in caption
