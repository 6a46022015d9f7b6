"""Every experiment's figure, drawn from the committed tables: equal bytes, named axes, all inside."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest
from kvbarrier.experiments.registry import NAMES
from kvbarrier.figures.registry import draw

GALLERY = Path(__file__).resolve().parents[2] / "figures" / "gallery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for table in GALLERY.glob("*.csv"):
        shutil.copy(table, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_equal_tables_give_equal_bytes(name: str, folder: Path) -> None:
    first = draw(name, folder).read_bytes()
    assert draw(name, folder).read_bytes() == first
    assert not list(folder.glob("*.partial"))


@pytest.mark.parametrize("name", NAMES)
def test_axes_are_named_and_nothing_sticks_out(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = []
    module = importlib.import_module(f"kvbarrier.figures.{name.replace('-', '_')}")
    monkeypatch.setattr(module, "save", lambda figure, path: caught.append(figure))
    draw(name, folder)
    [figure] = caught
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for axes in figure.axes:
        shared_x = axes.get_shared_x_axes().get_siblings(axes)
        shared_y = axes.get_shared_y_axes().get_siblings(axes)
        assert any(one.get_xlabel() for one in shared_x), axes.get_title(loc="left")
        assert any(one.get_ylabel() for one in shared_y), axes.get_title(loc="left")
    captions = [legend.get_title().get_text() for legend in figure.legends]
    assert any(len(caption) > 60 for caption in captions), "a figure is read by its caption"
    for text in figure.findobj(lambda one: hasattr(one, "get_text") and one.get_visible()):
        if not text.get_text():
            continue
        box = text.get_window_extent()
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside or _tick_outside(figure, text), text.get_text()


def _tick_outside(figure, text) -> bool:
    """Matplotlib keeps labels of ticks beyond the limits; they are not drawn."""
    labels = [
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in (*axis.get_ticklabels("both"), axis.get_offset_text())
    ]
    return any(text is label for label in labels)
