"""Growth: CPU seconds and peak memory a secret bit against n, and the limit of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..experiments.growth.claims import exponents
from ..experiments.growth.measure import TABLE
from ..experiments.kit.tables import read_table
from .style import COLOURS, INK, MARKERS, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's table in ``folder`` as a PNG."""
    draw(read_table(folder, TABLE), path)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw the table ``growth`` as a PNG."""
    title = "What a secret bit costs, against n: where a line is flat, a message grows like n"
    with page(path, title, 1, 2, height=5.6) as (figure, (left, right)):
        _curves(left, table, "seconds", 1e9)
        _curves(right, table, "peak_bytes", 1.0)
        _limits(left, right, table)
        left.set_ylabel("CPU nanoseconds a secret bit (log scale)")
        left.set_title("time of a message")
        right.set_ylabel("peak bytes a secret bit (log scale)")
        right.set_title("memory of a message, Alice's and Bob's part")
        legend_below(figure, [left], columns=3, caption=_caption(table))


def _caption(table: pd.DataFrame) -> str:
    return (
        f"One message a point, {int(table['rows'].iloc[0])} sampled rows asked; least of 3 "
        "or more CPU times, played inline on one thread; bch keys. Solid d = 64, dashed d = 128.\n"
        "exp: the interval of the exponent of n, from the two longest streams at d = 64. Dotted: "
        "reading K and V in float32 once,\nat the bandwidth measured beside each point."
    )


def _curves(axes: Axes, table: pd.DataFrame, column: str, unit: float) -> None:
    grown = exponents(table, column, "seconds_median" if column == "seconds" else column)
    for (target, d), rows in table.groupby(["target", "d"], sort=False):
        index = list(table["target"].unique()).index(target)
        first = d == table["d"].min()
        low, high = grown[str(target), int(d)]
        axes.plot(
            rows["n"], unit * rows[column] / rows["secret_bits"], color=COLOURS[index],
            marker=MARKERS[index], mfc="none", ls="-" if first else "--", lw=1.3,
            label=f"{target}: exp {low:.2f} to {high:.2f}" if first else None,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("data tokens n (log scale)")


def _limits(left: Axes, right: Axes, table: pd.DataFrame) -> None:
    from matplotlib import ticker

    rows = table[table["target"] == "exact"]
    rows = rows[rows["d"] == rows["d"].min()]
    once = 1e9 * rows["read_seconds"] / rows["secret_bits"]
    left.plot(rows["n"], once, color=INK, ls=":", label="reading K and V once")
    right.yaxis.set_major_locator(ticker.LogLocator(2))
    right.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    right.yaxis.set_minor_locator(ticker.NullLocator())
    right.axhline(
        float((rows["cache_bytes"] / rows["secret_bits"]).iloc[0]), color=INK, ls=":", lw=1.6
    )
    right.text(rows["n"].min(), 8.4, "K and V in float32", fontsize=8.5, color=INK)
