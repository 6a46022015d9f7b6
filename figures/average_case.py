"""The average case: bits per secret bit against the query's norm, and what was played there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..experiments.average_case.measure import PLAYED, THETA
from ..experiments.kit.tables import read_table
from ..runs.points import points_of
from ..runs.results import read_results
from .style import COLOURS, FORBIDDEN, INK, MARKERS, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LOWEST, HIGHEST = 0.02, 60.0


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(read_table(folder, THETA), points_of(read_results(folder / PLAYED)), path)


def draw(theta: pd.DataFrame, points: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the tables of ``experiments.average_case.measure`` as a PNG."""
    dimensions = sorted(theta["d"].unique())
    n = points[0]["n"]
    title = "Keys that nobody chose: what the average case needs"
    with page(path, title, 1, len(dimensions), height=6.2, sharey=True) as (figure, panels):
        for axes, d in zip(panels, dimensions, strict=True):
            _curves(axes, theta[theta["d"] == d], n)
            _points(axes, [point for point in points if point["d"] == d])
            axes.set_title(f"d = {d}")
            axes.set_xlabel("norm of the query, β")
        panels[0].set_ylabel("bits per secret bit (log scale)")
        caption = (
            "Keys are Gaussian and drawn anew for each message; nothing is chosen against the "
            "algorithm. Lines: success 9/10 on average needs\n1 − h(1/10 + θ/2), θ the share of "
            f"rows that Bob has to guess, from {int(theta['rows'].min()):,} to "
            f"{int(theta['rows'].max()):,} independent rows a point; bars: 99 % intervals of θ; "
            "dashed: the\nclosed form for the same n. Shaded: below the line of the n that is "
            f"played, {n}. Markers: {min(p['messages'] for p in points)} independent messages a "
            "point; filled: the error\nin the rows that Bob reads is shown to be at most 1/10 on "
            "average; hollow: it is not. Curves below the picture are at 0."
        )
        legend_below(figure, panels, columns=4, caption=caption)


def _curves(axes: Axes, table: pd.DataFrame, played: int) -> None:
    for index, (n, rows) in enumerate(table.groupby("n")):
        rows = rows.sort_values("beta")
        colour = COLOURS[index % len(COLOURS)]
        rate = rows["rate"].clip(lower=LOWEST / 10)
        worst = rows["rate_at_level"].clip(lower=LOWEST / 10)
        axes.errorbar(rows["beta"], rate, yerr=[rate - worst, 0 * rate], color=colour, lw=1.4,
                      elinewidth=0.8, label=f"n = {int(n):,}")  # fmt: skip
        axes.plot(rows["beta"], rows["closed_rate"].clip(lower=LOWEST / 10), color=colour, lw=0.9,
                  ls="--")  # fmt: skip
        if n == played:
            axes.fill_between(rows["beta"], LOWEST, rate, color=FORBIDDEN, lw=0, zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(LOWEST, HIGHEST)
    ticks = [0.5, 1, 2, 4, 8]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def _points(axes: Axes, points: Sequence[dict[str, Any]]) -> None:
    shown = [point for point in points if point["bits_per_secret_bit"] > 0]
    for index, name in enumerate(dict.fromkeys(point["compressor"] for point in shown)):
        some = [point for point in shown if point["compressor"] == name]
        for kept in (True, False):
            rows = [p for p in some if (p["guarantee"]["verdict"] == "not-broken") == kept]
            axes.plot(
                [p["beta"] for p in rows], [p["bits_per_secret_bit"] for p in rows], ls="",
                marker=MARKERS[index], color=INK, mfc=INK if kept else "white", ms=5.5, mew=1.0,
                zorder=4, label=f"{name}" if kept or all(
                    p["guarantee"]["verdict"] != "not-broken" for p in some
                ) else None,
            )  # fmt: skip
