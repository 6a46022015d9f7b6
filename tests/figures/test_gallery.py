"""Every figure, drawn from the committed tables: equal bytes, named axes, nothing sticks out."""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from kvbarrier.experiments.kit.played import Played
from kvbarrier.experiments.registry import ENGINES, NAMES, get
from kvbarrier.figures import style
from kvbarrier.figures.registry import draw, pictures
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.attack import attack
from kvbarrier.runs.results import Results, read_results, write_results
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

GALLERY = Path(__file__).resolve().parents[2] / "figures" / "gallery"
ALL_KINDS = ("visual", "bounds")
"""Drawn as PNG and PDF too; the others as SVG, which has every number and letter of a picture."""
LEGIBLE = 10.0
"""Pixels of a letter's size where a picture is 800 pixels wide."""


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for table in GALLERY.glob("*.csv"):
        shutil.copy(table, folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _tables_are_read_once() -> Iterator[None]:
    """Intervals of a whole leaderboard take longer than its picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Played, "read", cache(Played.read))
        yield


@cache
def _drawn(name: str, folder: Path, out: Path) -> tuple[list[Figure], dict[str, bytes]]:
    """The figures of an experiment, and what is written of them."""
    all_kinds = style.NAMELESS
    kinds = all_kinds if name in ALL_KINDS else {"svg": all_kinds["svg"]}
    caught: list[Figure] = []
    savefig = Figure.savefig

    def seen(figure: Figure, *args: object, **named: object) -> None:
        if figure not in caught:
            caught.append(figure)
        savefig(figure, *args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", seen)
        patch.setattr(style, "NAMELESS", kinds)
        written = draw(name, folder, out)
    assert [path.name for path in written] == list(pictures(name))
    assert not list(out.glob("*.partial"))
    files = [path.with_suffix(f".{kind}") for path in written for kind in kinds]
    return caught, {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("name", [*NAMES, *ENGINES])
def test_equal_tables_give_equal_bytes(name: str, folder: Path) -> None:
    _, first = _drawn(name, folder, folder / "first")
    _, again = _drawn(name, folder, folder / "again")
    assert again
    assert [file for file in again if first[file] != again[file]] == []
    for file, data in first.items():
        assert data.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[file[-3:]])
        # A version or a date would make them differ elsewhere or later.
        assert not re.search(rb"Matplotlib v|matplotlib.org/\)? v|<dc:date>|CreationDate", data)


@pytest.mark.parametrize("name", [*NAMES, *ENGINES])
def test_axes_are_named_and_nothing_sticks_out_or_meets(name: str, folder: Path) -> None:
    caught, _ = _drawn(name, folder, folder / "first")
    assert len(caught) == len(pictures(name))
    for figure in caught:
        _looked_at(figure)


def _looked_at(figure: Figure) -> None:
    width, height = FigureCanvasAgg(figure).get_width_height()
    figure.draw_without_rendering()
    for axes in figure.axes:
        shared_x = axes.get_shared_x_axes().get_siblings(axes)
        shared_y = axes.get_shared_y_axes().get_siblings(axes)
        assert any(one.get_xlabel() for one in shared_x), axes.get_title(loc="left")
        assert any(one.get_ylabel() for one in shared_y), axes.get_title(loc="left")
    captions = [legend.get_title().get_text() for legend in figure.legends]
    assert any(len(caption) > 60 for caption in captions), "a figure is read by its caption"
    boxes = []
    for text in _written(figure):
        box = Text.get_window_extent(text)  # an annotation's own is that of its arrow too
        assert box.x0 >= -1, text.get_text()
        assert box.y0 >= -1, text.get_text()
        assert box.x1 <= width + 1, text.get_text()
        assert box.y1 <= height + 1, text.get_text()
        # Of a page in a README, 800 pixels wide.
        pixels = text.get_fontsize() * 800 / (72 * figure.get_figwidth())
        assert pixels >= LEGIBLE, f"{text.get_text()!r}: {pixels:.1f} pixels"
        boxes.append((text.get_text(), box.padded(-1)))
    met = [(a, b) for i, (a, one) in enumerate(boxes) for b, two in boxes[:i] if one.overlaps(two)]
    assert met == [], "texts over texts"


def _written(figure: Figure) -> list[Text]:
    """All texts but the ticks' labels, some of which matplotlib keeps and does not draw."""
    beside = [axes for one in figure.axes for axes in one.child_axes]
    ticks = {
        id(label)
        for axes in (*figure.axes, *beside)
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


def test_every_picture_is_committed_whole_and_no_other() -> None:
    """Eight were once committed as empty files."""
    names = {one for name in (*NAMES, *ENGINES) for one in pictures(name)}
    assert {path.stem for path in GALLERY.glob("*.png")} == names
    for name in names:
        with Image.open(GALLERY / f"{name}.png") as picture:
            picture.load()
            assert picture.width >= 1200


def test_a_run_at_full_scale_takes_the_place_of_its_old_lines_in_the_order_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = importlib.import_module("kvbarrier.figures.update_full_scale")
    monkeypatch.setattr(full, "FULL", tmp_path)
    old = "claim,verdict,evidence\nspike.bounds,holds,old\nown-keys.layers,holds,late\n"
    (tmp_path / "claims.csv").write_text(old)
    (tmp_path / "cost.csv").write_text("experiment,cpu_seconds,peak_mib\nengines,1.0,1\n")
    full.update("engines", GALLERY, 1480.25, 410)
    names = [line.partition(",")[0] for line in (tmp_path / "claims.csv").read_text().splitlines()]
    own = [claim.name for claim in get("engines").claims]
    assert names == ["claim", "spike.bounds", *own, "own-keys.layers"]
    once = (tmp_path / "claims.csv").read_bytes()
    full.update("engines", GALLERY, 1480.25, 410)
    assert (tmp_path / "claims.csv").read_bytes() == once
    assert (tmp_path / "cost.csv").read_text().splitlines()[1:] == ["engines,1480.2,410"]
