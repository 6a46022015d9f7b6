"""The spike: Bob's output against the scale C, and the error that follows from it.

Above: the measured outputs for secret bits 0 and 1 (the range over all asked bits, and the mean),
the exact worst-case bounds from the interference S_i(C), and the paper's (reconstructed) from eps,
the largest |<k_l,k_i> - delta_li|. Below: the measured bit error. One column a dimension.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.kit.tables import read_table
from ..experiments.spike.measure import TABLE
from .labels import text_in
from .style import COLOURS, FAINT, INK, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ZERO, ONE = COLOURS[1], COLOURS[0]


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(read_table(folder, TABLE), path)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw the table of ``experiments.spike.measure`` (one row a key set and scale) as a PNG."""
    groups = list(table.groupby("d", sort=False))
    title = "The spike: exact attention turns into a lookup at a finite scale"
    with page(
        path,
        title,
        2,
        len(groups),
        height=6.2,
        sharex="col",
        sharey="row",
        squeeze=False,
        gridspec_kw={"height_ratios": [2.0, 1.0]},
    ) as (figure, axes):
        for column, (_, rows) in enumerate(groups):
            _outputs(axes[0][column], rows)
            _error(axes[1][column], rows)
        axes[0][0].set_ylabel("Bob's output o_j")
        axes[1][0].set_ylabel("bit error")
        caption = (
            f"{int(table['messages'].min())} independent messages a scale; bars: anytime-valid "
            f"{100 * float(table['level'].iloc[0]):g} % intervals over messages."
        )
        legend_below(figure, [axes[0][-1]], columns=3, caption=caption)


def _outputs(axes: Axes, rows: pd.DataFrame) -> None:
    scale = rows["scale"].to_numpy()
    for bit, colour in ((0, ZERO), (1, ONE)):
        axes.fill_between(scale, rows[f"min_{bit}"], rows[f"max_{bit}"], color=colour, alpha=0.22,
                          lw=0, label=f"measured range, bit {bit}")  # fmt: skip
        axes.plot(scale, rows[f"mean_{bit}"], color=colour, lw=2, label=f"measured mean, bit {bit}")
    axes.plot(scale, rows["exact_bound_0"], color=ZERO, ls="--", lw=1.3,
              label="exact bound from S_i(C), bit 0")  # fmt: skip
    axes.plot(scale, rows["exact_bound_1"], color=ONE, ls="--", lw=1.3,
              label="exact bound from S_i(C), bit 1")  # fmt: skip
    axes.plot(scale, rows["paper_delta"], color=INK, ls=":", lw=1.2,
              label="paper's δ and Δ (reconstructed)")  # fmt: skip
    axes.plot(scale, rows["paper_Delta"], color=INK, ls=":", lw=1.2)
    first = rows.iloc[0]
    axes.set_title(
        f"{first['keys']} keys: n = {int(first['n'])}, d = {int(first['d'])}, μ = {first['mu']:.3g}"
    )
    axes.set_ylim(-0.03, 1.03)
    _verticals(axes, first, text=False)


def _error(axes: Axes, rows: pd.DataFrame) -> None:
    error = rows["bit_error"].to_numpy()
    spread = np.maximum([error - rows["error_low"], rows["error_high"] - error], 0.0)
    axes.errorbar(rows["scale"], error, yerr=spread, color=INK, marker="o", ms=3, lw=1.1,
                  elinewidth=0.8)  # fmt: skip
    axes.set_ylim(-0.02, 0.53)
    axes.set_xlabel("scale C of Bob's query (nats)")
    _verticals(axes, rows.iloc[0], text=True)


def _verticals(axes: Axes, first: pd.Series, *, text: bool) -> None:
    """The three scales; their names stand in the lower panel, where no curve runs behind them."""
    lines = [("tight_scale", "tight", COLOURS[2], 0.43), ("paper_scale", "paper's", FAINT, 0.31),
             ("closed_scale", "closed form", COLOURS[3], 0.19)]  # fmt: skip
    for column, label, colour, height in lines:
        where = float(first[column])
        if np.isfinite(where):
            axes.axvline(where, color=colour, lw=1.2, ls="-.")
            said = f"{label} {where:.2f}"
        else:
            where, said = 16.5, "the paper's condition\nε < 1/2 fails here"
        if text:
            axes.annotate(said, (where, height), (4, 0), textcoords="offset points", fontsize=9,
                          color=text_in(colour), va="center",
                          bbox={"fc": "white", "ec": "none", "pad": 0.5})  # fmt: skip
