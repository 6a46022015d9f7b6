"""Memory needed for error at most 1/10 against n and d; the theorem allows no slope below 1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.kit.tables import read_table
from ..experiments.scaling.measure import TABLE
from .style import COLOURS, FORBIDDEN, INK, MARKERS, house_style, legend_below, save, sheet

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

AXES = {"n": "number of data tokens n", "d": "dimension d"}


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(read_table(folder, TABLE), path)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw the table of ``experiments.scaling`` (one row a compressor, axis and size) as a PNG."""
    with house_style():
        figure, axes = sheet(1, 2, figsize=(9.4, 5.0))
        for panel, axis in zip(axes, AXES, strict=True):
            _panel(panel, axis, table[table["axis"] == axis])
        handles, labels = axes[0].get_legend_handles_labels()
        caption = (
            "Each point: the smallest memory with measured error ≤ 1/10, "
            f"{int(table['messages'].min())} independent messages a probe. "
            "Numbers: slope over the two largest decades."
        )
        legend_below(figure, handles, labels, columns=3, caption=caption)
        figure.suptitle(
            "Memory needed for bit error ≤ 1/10 (fixed state dotted; slopes after subtracting it)",
            x=0.01, ha="left", fontsize=12,
        )  # fmt: skip
        save(figure, path)


def _panel(axes: Axes, axis: str, table: pd.DataFrame) -> None:
    sizes = np.array(sorted(table["size"].unique()), dtype=float)
    other = float(table["other"].iloc[0])
    floor = sizes * other * float(table["floor_per_secret_bit"].iloc[0])
    axes.plot(sizes, floor, color="#a33b20", lw=1.8, label="limit: n·d·(1 − h(1/10)) bits")
    axes.fill_between(sizes, np.ones_like(floor), floor, color=FORBIDDEN, lw=0, zorder=0)
    slopes = ["slope"]
    for index, (name, rows) in enumerate(table.groupby("compressor", sort=False)):
        _curve(axes, index, str(name), rows.sort_values("size"))
        slopes.append(f"{name} {float(rows['slope'].iloc[0]):.3f}")
    axes.text(0.03, 0.97, "\n".join(slopes), transform=axes.transAxes, fontsize=8.6, color=INK,
              ha="left", va="top")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    # The slopes stand above the curves.
    axes.set_ylim(floor[0] / 40, 8 * float(table["charged_bits"].max()))
    axes.set_xlim(sizes[0] / 1.15, sizes[-1] * 1.15)
    axes.set_xlabel(AXES[axis] + " (log scale)")
    axes.set_ylabel("charged message bits (log scale)")
    axes.set_title(f"against {axis} ({'d' if axis == 'n' else 'n'} = {other:g})")


def _curve(axes: Axes, index: int, name: str, rows: pd.DataFrame) -> None:
    """One compressor, hollow because two of them coincide, and its fixed state where it has one."""
    colour = COLOURS[index]
    axes.plot(rows["size"], rows["charged_bits"], color=colour, marker=MARKERS[index], mfc="none",
              mew=1.4, ms=9 - index, lw=1.1, label=name)  # fmt: skip
    fixed = rows["fixed_bits"].to_numpy(dtype=float)
    if fixed.max() > 0:
        axes.plot(rows["size"], fixed, color=colour, ls=":", lw=1.4)
