"""The figure of the average case: drawn from its tables, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from kvbarrier.figures import average_case, style


def tables() -> tuple[pd.DataFrame, list[dict]]:
    theta = [
        {"d": d, "n": n, "beta": beta, "rows": 200, "rate": rate, "rate_at_level": 0.9 * rate,
         "closed_rate": 0.8 * rate}
        for d in (32, 64) for n in (64, 256) for beta, rate in ((1.0, 0.1), (2.0, 0.5))
    ]  # fmt: skip
    points = [
        {"d": d, "n": 256, "beta": beta, "compressor": name, "bits_per_secret_bit": memory,
         "messages": 48, "guarantee": {"verdict": verdict}}
        for d in (32, 64) for beta in (1.0, 2.0)
        for name, memory, verdict in (("lossless", 1.0, "not-broken"), ("zero", 0.0, "broken"),
                                      ("time-sharing", 0.4, "broken"))
    ]  # fmt: skip
    return pd.DataFrame(theta), points


def test_equal_tables_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    theta, points = tables()
    for name in "ab":
        average_case.draw(theta, points, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    moved = [point | {"bits_per_secret_bit": 2 * point["bits_per_secret_bit"]} for point in points]
    for number, changed in enumerate(((theta.assign(rate=0.6), points), (theta, moved))):
        average_case.draw(*changed, tmp_path / f"c{number}.png")
        assert (tmp_path / f"c{number}.png").read_bytes() != (tmp_path / "a.svg").read_bytes()


def test_what_is_counted_is_said(monkeypatch, tmp_path: Path) -> None:
    caught = []
    monkeypatch.setattr(style, "save", lambda figure, path: caught.append(figure))
    average_case.draw(*tables(), tmp_path / "unused.png")
    [figure] = caught
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["d = 32", "d = 64"]
    legend = figure.legends[0]
    caption = legend.get_title().get_text()
    assert "48 independent messages" in caption
    assert "200 to 200 independent rows" in caption
    labels = [text.get_text() for text in legend.get_texts()]
    assert {"n = 64", "n = 256", "lossless", "time-sharing"} == set(labels)
