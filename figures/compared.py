"""Settings side by side: wrong bits of values and of keys against memory; who is not beaten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .labels import Name, name_series
from .style import COLOURS, FAINT, INK, MARKERS, legend_below, look, page, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..runs.compared import Row

PANELS = {
    "literal": "hidden in values, literal basis",
    "rotated": "hidden in values, rotated basis",
    "keys": "hidden in keys",
}


def draw(rows: Sequence[Row], path: Path, title: str) -> None:
    """Draw rows of ``runs.compared`` as a PNG, SVG or PDF: one panel a place where bits hide.

    Filled: no other row needs at most its memory and loses less; the number is its place in the
    legend.
    """
    panels = [name for name in PANELS if any(getattr(row, name) is not None for row in rows)]
    with page(
        path,
        plain(title),
        1,
        len(panels),
        width=3.4 * len(panels),
        height=4.8,
        sharey=True,
        squeeze=False,
        title_size=12,
    ) as (figure, axes):
        for panel, name in zip(axes[0], panels, strict=True):
            _panel(panel, rows, name)
        axes[0][0].set_ylabel("wrong bits")
        best = [row for row in rows if row.pareto]
        for place, row in enumerate(best, start=1):
            said = f"{place} {plain(row.target, 40)}, {row.bits_per_number:.3g} bits"
            axes[0][0].lines[rows.index(row)].set_label(said)
        caption = "Filled: no other setting needs at most its memory and loses less."
        legend_below(figure, [axes[0][0]], columns=2, caption=caption)
        for panel, name in zip(axes[0], panels, strict=True):
            places = [
                Name(str(place), INK, [(row.bits_per_number, share)])
                for place, row in enumerate(best, start=1)
                if (share := getattr(row, name)) is not None
            ]
            name_series(figure, panel, places)


def _panel(axes: Axes, rows: Sequence[Row], name: str) -> None:
    series = list(dict.fromkeys(row.target.partition(" ")[0] for row in rows))
    for row in rows:
        colour, marker = look(series.index(row.target.partition(" ")[0]))
        share = getattr(row, name)
        # Every row has a line, so that the legend finds it; what is not known lies nowhere.
        axes.plot(
            [row.bits_per_number], [float("nan") if share is None else share], ls="",
            color=COLOURS[colour], marker=MARKERS[marker], ms=7, mew=1.3,
            mfc=COLOURS[colour] if row.pareto else "none",
        )  # fmt: skip
    axes.axhline(0.5, color=FAINT, ls=":", lw=1.0)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(-0.02, 0.56)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set_xlabel("bits a number of K and V")
    axes.set_title(PANELS[name])
