"""Memory needed for error at most 1/10 against n and d; the theorem allows no slope below 1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.kit.tables import read_table
from ..experiments.scaling.measure import TABLE
from .labels import Name, name_ends, text_in
from .style import COLOURS, FORBIDDEN, LIMIT, MARKERS, caption_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

AXES = {"n": "number of data tokens n", "d": "dimension d"}


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(read_table(folder, TABLE), path)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw the table of ``experiments.scaling`` (one row a compressor, axis and size) as a PNG."""
    title = "Memory needed for bit error ≤ 1/10, and its slope"
    with page(path, title, 1, 2, height=5.2) as (figure, axes):
        named = [
            _panel(panel, axis, table[table["axis"] == axis])
            for panel, axis in zip(axes, AXES, strict=True)
        ]
        caption_below(
            figure,
            "Each point: the smallest memory with measured error ≤ 1/10, "
            f"{int(table['messages'].min())} independent messages a probe. The number beside a "
            "name:\nslope over the two largest decades, after subtracting the fixed state "
            "(dotted). Shaded: below n·d·(1 − h(1/10)) bits, Fano's limit.",
        )
        for panel, names in zip(axes, named, strict=True):
            name_ends(figure, panel, names)


def _panel(axes: Axes, axis: str, table: pd.DataFrame) -> list[Name]:
    sizes = np.array(sorted(table["size"].unique()), dtype=float)
    other = float(table["other"].iloc[0])
    floor = sizes * other * float(table["floor_per_secret_bit"].iloc[0])
    axes.plot(sizes, floor, color=LIMIT, lw=1.8)
    axes.fill_between(sizes, np.ones_like(floor), floor, color=FORBIDDEN, lw=0, zorder=0)
    names = [Name("limit 1", LIMIT, [(sizes[-1], floor[-1])])]
    for index, (name, rows) in enumerate(table.groupby("compressor", sort=False)):
        rows = rows.sort_values("size")
        _curve(axes, index, rows)
        end = (float(rows["size"].iloc[-1]), float(rows["charged_bits"].iloc[-1]))
        said = f"{name} {float(rows['slope'].iloc[0]):.3f}"
        names.append(Name(said, text_in(COLOURS[index]), [end]))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(floor[0] / 40, 4 * float(table["charged_bits"].max()))
    # The names stand behind the curves.
    axes.set_xlim(sizes[0] / 1.15, sizes[-1] * (sizes[-1] / sizes[0]) ** 0.75)
    axes.set_xlabel(AXES[axis] + " (log scale)")
    axes.set_ylabel("charged message bits (log scale)")
    axes.set_title(f"against {axis} ({'d' if axis == 'n' else 'n'} = {other:g})")
    return names


def _curve(axes: Axes, index: int, rows: pd.DataFrame) -> None:
    """One compressor, hollow because two of them coincide, and its fixed state where it has one."""
    colour = COLOURS[index]
    axes.plot(rows["size"], rows["charged_bits"], color=colour, marker=MARKERS[index], mfc="none",
              mew=1.4, ms=9 - index, lw=1.1)  # fmt: skip
    fixed = rows["fixed_bits"].to_numpy(dtype=float)
    if fixed.max() > 0:
        axes.plot(rows["size"], fixed, color=colour, ls=":", lw=1.4)
