"""Theorem 1 as a whole: certified bits against n for each d, and states at moments of a stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.every_step.measure import GRID, TIMES
from ..experiments.kit.tables import read_table
from ..reductions.bounds import fano_rate
from .style import COLOURS, FORBIDDEN, LIMIT, MARKERS, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NAMES = {
    "exact": "exact cache, room for all",
    "merged": "equal keys merged",
    "window": "window",
}


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(read_table(folder, GRID), read_table(folder, TIMES), path)


def draw(grid: pd.DataFrame, times: pd.DataFrame, path: Path) -> None:
    """Draw the tables of ``experiments.every_step.measure`` as a PNG."""
    title = "d · min{n, e^Θ(d)}: in tokens and dimension at once, and at every time step"
    with page(path, title, 1, 2, height=5.8) as (figure, (left, right)):
        d = int(times["d"].max())
        _grid(left, grid)
        _times(right, times[times["d"] == d])
        rows = times[times["d"] == d]
        first = rows.iloc[0]
        caption = (
            "Left: random unit keys, each kept if all stay certified at query norm R = d, η = 1/2; "
            "shaded for the largest d: what some keys\nreach and no unit keys exceed (ours). "
            f"Right: d = {d}, {rows['message'].nunique()} independent streams of "
            f"{int(first['n']):,} tokens, the first {int(first['certified_tokens'])} with hidden "
            "bits, Bob\n"
            "at random moments; hollow: a bit is wrong then."
        )
        legend_below(figure, (left, right), columns=3, caption=caption)


def _grid(axes: Axes, table: pd.DataFrame) -> None:
    shown = sorted(table["d"].unique())[-len(COLOURS) :]
    for index, d in enumerate(shown):
        rows = table[table["d"] == d].sort_values("n")
        axes.plot(rows["n"], rows["bits"], color=COLOURS[index], marker=MARKERS[index], ms=4,
                  lw=1.2, label=f"d = {d}")  # fmt: skip
        if d == shown[-1]:
            axes.fill_between(rows["n"], rows["least"], rows["most"], color=COLOURS[index],
                              alpha=0.15, lw=0)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel("tokens n (log scale)")
    axes.set_ylabel("certified bits d · min{n, N} (log scale)")
    axes.set_title("tokens and dimension at once")


def _times(axes: Axes, table: pd.DataFrame) -> None:
    d, N = int(table["d"].iloc[0]), int(table["certified_tokens"].iloc[0])
    t = np.geomspace(1, float(table["n"].max()), 200)
    floor = fano_rate(0.1) * d * np.minimum(t, N)
    axes.fill_between(t, 0.5, floor, color=FORBIDDEN, lw=0, zorder=0)
    axes.plot(t, floor, color=LIMIT, lw=1.8, label="limit: d · min{t, N} · (1 − h(1/10))")
    for index, (name, rows) in enumerate(table.groupby("compressor", sort=False)):
        rows = rows.sort_values("t")
        colour = COLOURS[index]
        axes.plot(rows["t"], rows["charged_bits"], color=colour, lw=1.0)
        for right in (True, False):
            some = rows[(rows["wrong"] == 0) == right]
            axes.plot(some["t"], some["charged_bits"], ls="", color=colour, marker=MARKERS[index],
                      mfc=colour if right else "white", ms=5,
                      label=NAMES[str(name)] if right else None)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=floor[0] / 3)
    axes.set_xlabel("time t at which Bob comes (log scale)")
    axes.set_ylabel("charged message bits (log scale)")
    axes.set_title("every time step")
