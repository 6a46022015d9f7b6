"""Every figure, drawn from the committed tables: equal bytes, named axes, nothing sticks out."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest
from kvbarrier.experiments.registry import ENGINES, NAMES
from kvbarrier.figures.registry import draw
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.attack import attack
from kvbarrier.runs.results import Results, read_results, write_results
from matplotlib.figure import Figure
from matplotlib.text import Text

GALLERY = Path(__file__).resolve().parents[2] / "figures" / "gallery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for table in GALLERY.glob("*.csv"):
        shutil.copy(table, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [*NAMES, *ENGINES])
def test_equal_tables_give_equal_bytes(name: str, folder: Path) -> None:
    first = draw(name, folder).read_bytes()
    assert draw(name, folder).read_bytes() == first
    assert not list(folder.glob("*.partial"))


@pytest.mark.parametrize("name", [*NAMES, *ENGINES])
def test_axes_are_named_and_nothing_sticks_out(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = []
    module = importlib.import_module(f"kvbarrier.figures.{name.replace('-', '_')}")
    monkeypatch.setattr(module, "save", lambda figure, path: caught.append(figure))
    draw(name, folder)
    [figure] = caught
    figure.set_dpi(150)  # as it is saved
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for axes in figure.axes:
        shared_x = axes.get_shared_x_axes().get_siblings(axes)
        shared_y = axes.get_shared_y_axes().get_siblings(axes)
        assert any(one.get_xlabel() for one in shared_x), axes.get_title(loc="left")
        assert any(one.get_ylabel() for one in shared_y), axes.get_title(loc="left")
    captions = [legend.get_title().get_text() for legend in figure.legends]
    assert any(len(caption) > 60 for caption in captions), "a figure is read by its caption"
    for text in _written(figure):
        box = text.get_window_extent()
        assert box.x0 >= -1, text.get_text()
        assert box.y0 >= -1, text.get_text()
        assert box.x1 <= width + 1, text.get_text()
        assert box.y1 <= height + 1, text.get_text()


def _written(figure: Figure) -> list[Text]:
    """All texts but the ticks' labels, some of which matplotlib keeps and does not draw."""
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2)
    }
    texts = figure.findobj(Text)
    return [text for text in texts if text.get_text().strip() and id(text) not in ticks]


def test_the_gallery_shows_results_without_counts_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_gallery = importlib.import_module("kvbarrier.figures.update_gallery")
    monkeypatch.setattr(update_gallery, "GALLERY", tmp_path / "gallery")
    (tmp_path / "gallery").mkdir()
    store = Results()
    attack("zero", instance=Index(n=32, d=16, keys="hypercube"), messages=4, store=store)
    write_results(tmp_path / "played.csv", store.rows)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    assert update_gallery.update(tmp_path) == ["played.csv", "table.csv"]
    shown = read_results(tmp_path / "gallery" / "played.csv")
    assert [row.counts() for row in shown] == [row.counts() for row in store.rows]
    assert {row.wrong_by_row for row in shown} == {None}
    assert (tmp_path / "gallery" / "table.csv").read_text() == "a,b\n1,2\n"
