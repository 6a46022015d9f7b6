"""Names stand beside their points: inside the axes, off the lines, and never on one another."""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from kvbarrier.figures.labels import Name, name_ends, name_series, spread, text_in
from kvbarrier.figures.style import COLOURS, page
from matplotlib.text import Text
from scipy.optimize import isotonic_regression


def placed(names: list[Name], *, ends: bool = False):
    with (
        TemporaryDirectory() as folder,
        page(Path(folder, "a.png"), width=6, height=4) as (
            figure,
            axes,
        ),
    ):
        axes.plot([0, 1], [0, 1], color="k")
        axes.set_xlim(0, 1.3)
        (name_ends if ends else name_series)(figure, axes, names)
        figure.draw_without_rendering()
        boxes = [Text.get_window_extent(text) for text in axes.texts]
        return axes, dict(zip((name.text for name in names), boxes, strict=True))


@pytest.mark.parametrize("ends", [False, True])
def test_names_of_one_place_stand_apart(ends: bool) -> None:
    """Three names were to stand at the corner where a line ends."""
    names = [Name(f"a name of some length {i}", "#000000", [(1.0, 1.0)]) for i in range(3)]
    axes, boxes = placed(names, ends=ends)
    for one, other in itertools.combinations(boxes.values(), 2):
        assert not one.overlaps(other)
    if not ends:
        frame = axes.get_window_extent()
        assert all(
            frame.x0 <= box.x0 and box.x1 <= frame.x1 and box.y1 <= frame.y1
            for box in boxes.values()
        )


def test_a_name_stands_off_the_line_and_near_its_point() -> None:
    axes, boxes = placed([Name("the diagonal", "#000000", [(0.5, 0.5)])])
    box = boxes["the diagonal"]
    line = axes.transData.transform(np.linspace([0, 0], [1, 1], 500))
    assert not any(box.contains(x, y) for x, y in line)
    point = axes.transData.transform((0.5, 0.5))
    nearest = np.clip(point, box.min, box.max)
    assert np.hypot(*(nearest - point)) * 72 / axes.figure.dpi < 15


def test_spread_is_isotonic_regression() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        wanted = rng.normal(size=8) * 20
        order = np.argsort(wanted)
        fitted = isotonic_regression(wanted[order] - 5 * np.arange(8)).x + 5 * np.arange(8)
        assert np.array(spread(list(wanted), 5))[order] == pytest.approx(fitted)


@pytest.mark.parametrize("colour", COLOURS)
def test_names_can_be_read_on_white(colour: str) -> None:
    """Contrast as in WCAG 2: at least 4.5 to 1, the least for text."""
    parts = [int(text_in(colour)[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    assert 1.05 / (np.dot([0.2126, 0.7152, 0.0722], linear) + 0.05) >= 4.5
