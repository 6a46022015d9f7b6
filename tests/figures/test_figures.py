"""Figures: every point is drawn, the axes say what they are; test_gallery.py has their bytes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from kvbarrier.figures import error_vs_memory, spike, style
from matplotlib.figure import Figure


def spike_table() -> pd.DataFrame:
    rows = []
    for d, paper in ((64, float("nan")), (256, 17.5)):
        for scale in np.linspace(0.0, 24.0, 9):
            rest = 511 * np.exp(-0.5 * scale)
            row = {"keys": "jl", "n": 512, "d": d, "scale": scale, "messages": 32, "level": 0.95}
            row |= {"bit_error": 0.5 / (1 + scale), "error_low": 0.0, "error_high": 0.6}
            row |= {f"{what}_{bit}": bit * 0.5 for bit in (0, 1) for what in ("min", "mean", "max")}
            row |= {"exact_bound_0": rest / (1 + rest), "exact_bound_1": 1 / (1 + rest)}
            row |= {"paper_delta": 0.9, "paper_Delta": 0.1, "eps": 0.5, "mu": 0.5}
            row |= {"tight_scale": 8.0, "closed_scale": 15.5, "paper_scale": paper}
            rows.append(row)
    return pd.DataFrame(rows)


def test_a_figure_is_drawn_once_a_file_and_not_to_lay_it_out(
    points: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, draw = [], Figure.draw
    monkeypatch.setattr(Figure, "draw", lambda one, to: (drawn.append(to), draw(one, to)))
    with matplotlib.rc_context({"figure.constrained_layout.use": True}):  # a user's own
        spike.draw(spike_table(), tmp_path / "a")
    assert len(drawn) == len(style.NAMELESS)


def test_another_table_gives_another_picture(points: list, tmp_path: Path) -> None:
    error_vs_memory.draw(points, tmp_path / "a.png")
    points[3]["bit_error"]["estimate"] += 0.1
    error_vs_memory.draw(points, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def drawn(points: list, monkeypatch: pytest.MonkeyPatch):
    """The axes of the figure, caught before it is written."""
    caught = []
    monkeypatch.setattr(style, "save", lambda figure, path: caught.append(figure))
    error_vs_memory.draw(points, Path("unused.png"))
    return caught[0]


def test_axes_have_names_units_and_the_stated_interval(
    points: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = drawn(points, monkeypatch)
    axes = figure.axes[0]
    assert "charged message bits per secret bit" in axes.get_xlabel()
    assert axes.get_xscale() == "log"
    assert "wrong bits / asked bits" in axes.get_ylabel()
    [legend] = figure.legends
    assert "95 % intervals over 64 independent" in legend.get_title().get_text()


def test_every_point_lies_where_its_numbers_say(
    points: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = drawn(points, monkeypatch).axes[0]
    placed = {
        (round(float(x), 9), round(float(y), 9))
        for line in axes.get_lines()
        for x, y in zip(*line.get_data(), strict=True)
    }
    for point in points:
        if point["bits_per_secret_bit"]:
            at = (round(point["bits_per_secret_bit"], 9), round(point["bit_error"]["estimate"], 9))
            assert at in placed


def test_the_fano_line_is_one_minus_entropy(points: list, monkeypatch: pytest.MonkeyPatch) -> None:
    axes = drawn(points, monkeypatch).axes[0]
    [fano] = [line for line in axes.get_lines() if line.get_label().startswith("Fano")]
    rates, errors = fano.get_data()
    # 1 - h(.11) = 0.50008..., the textbook half-rate point of the binary symmetric source.
    assert np.interp(0.11, errors, rates) == pytest.approx(0.5001, abs=1e-4)
    assert (rates[0], rates[-1]) == (1.0, 0.0)


def test_curves_that_coincide_share_a_line_and_a_name(
    points: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three evictions lay on one another, and the legend named three lines where one was seen."""
    axes = drawn(points, monkeypatch).axes[0]
    names = {text.get_text() for text in axes.texts}
    assert "sliding-window, streaming-llm, reservoir" in names
    assert {"exact", "lossless", "quantized per token", "quantized per channel"} < names
    assert "sliding-window" not in names


def test_another_error_keeps_curves_apart(points: list, monkeypatch: pytest.MonkeyPatch) -> None:
    last = [point for point in points if point["series"] == "reservoir"][-1]
    last["bit_error"] |= {"estimate": last["bit_error"]["estimate"] - 0.03}
    axes = drawn(points, monkeypatch).axes[0]
    names = {text.get_text() for text in axes.texts}
    assert {"sliding-window, streaming-llm", "reservoir"} < names


def test_curves_that_are_too_many_to_name_beside_have_a_legend(
    points: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [
        points[5]
        | {"series": f"cache {i}", "bits_per_secret_bit": 2.0**k}
        | {"bit_error": points[5]["bit_error"] | {"estimate": 0.03 + 0.03 * i}}
        for i in range(20)
        for k in (1, 2)
    ]
    figure = drawn(many, monkeypatch)
    [legend] = figure.legends
    said = {text.get_text() for text in legend.get_texts()}
    assert {f"cache {i}" for i in range(20)} <= said
    assert not [text for text in figure.axes[0].texts if text.get_text().startswith("cache")]
    few = drawn(many[:20], monkeypatch)
    assert few.legends[0].get_texts() == []
    assert "cache 9" in {text.get_text() for text in few.axes[0].texts}


def test_more_series_than_can_be_named_are_dots_that_the_caption_explains(
    points: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """267 series of a whole leaderboard once filled the page with their names."""
    many = [points[0] | {"series": f"setting {number}"} for number in range(267)]
    figure = drawn(many, monkeypatch)
    [legend] = figure.legends
    assert legend.get_texts() == []
    assert "267 series" in legend.get_title().get_text()
    [dots] = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 267]
    assert dots.get_linestyle() == "None"
    assert not [text for text in figure.axes[0].texts if "setting" in text.get_text()]


def test_a_picture_leaves_no_figure_open_and_the_users_backend_alone(
    points: list, tmp_path: Path
) -> None:
    """In a notebook, Report.plot() switched the backend, so that its own plots no longer showed."""
    code = f"""
import matplotlib
matplotlib.use("svg")
from matplotlib import pyplot
from kvbarrier.figures import error_vs_memory
error_vs_memory.draw({points!r}, __import__("pathlib").Path({str(tmp_path / "a")!r}))
assert pyplot.get_fignums() == [], pyplot.get_fignums()
assert matplotlib.get_backend() == "svg", matplotlib.get_backend()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a.svg", "a.pdf"}


def test_no_figure_is_made_through_pyplot() -> None:
    """Through pyplot a figure stays open where nobody closes it, in a backend of the user's."""
    rooms = Path(error_vs_memory.__file__).resolve().parents[1]
    made = [
        path.name
        for room in ("figures", "experiments", "cli", "runs")
        for path in (rooms / room).rglob("*.py")
        if re.search(
            r"^\s*(from matplotlib import.*|import matplotlib\.)pyplot", path.read_text(), re.M
        )
    ]
    assert made == []
