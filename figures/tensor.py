"""Tensor attention: error against memory, and the size of the two layouts against n."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..experiments.kit.played import Played
from ..experiments.kit.tables import read_table
from ..experiments.tensor.measure import LAYOUTS, PLAYED
from .error_panel import error_panel
from .style import COLOURS, FAINT, LIMIT, MARKERS, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ORDER = ("four-cache", "two-cache", "lossless", "time-sharing", "covering-code", "zero")
STORED = {"four-cache": 0, "two-cache": 1, "bits of the factors": 2}
ARBITRARY = 8


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(Played(PLAYED).read(folder), read_table(folder, LAYOUTS), path)


def draw(played: list[dict[str, Any]], layouts: pd.DataFrame, path: Path) -> None:
    """Draw played points (``attack --json``'s form) and the table of layouts as a PNG."""
    n = max(int(point["n"]) for point in played)
    played = [point for point in played if int(point["n"]) == n]
    title = "Tensor attention: four caches carry 2(n−1)d bits; only arbitrary rows carry n²d"
    with page(path, title, 1, 2, height=5.6) as (figure, (left, right)):
        error_panel(left, played, ORDER)
        left.set_title(f"a  the game: n = {n}, d = {int(played[0]['d'])}")
        _layouts(right, layouts)
        messages, each = int(played[0]["messages"]), int(layouts["messages"].min())
        caption = (
            f"a: {messages} independent messages a point, anytime-valid 95 % intervals; dotted: "
            "error 1/10, half the bits; arrow: sends nothing.\n"
            "N = 2(n−1)d secret bits in V1 and V2. b: charged bits of messages (numbers in "
            f"fp16) that decoded every bit asked, {each} messages each.\n"
            "The lines are secret bits: 2(n−1)d determine all n²d products, while n² arbitrary "
            "value rows have n²d of their own."
        )
        legend_below(figure, (left, right), columns=4, caption=caption)


def _layouts(axes: Axes, table: pd.DataFrame) -> None:
    d = int(table["d"].iloc[0])
    sizes = np.geomspace(table["n"].min(), table["n"].max(), 65)
    axes.plot(sizes, sizes**2 * d, color=LIMIT, lw=1.6, label="b: n²d")
    axes.plot(sizes, 2 * (sizes - 1) * d, color=FAINT, lw=1.6, ls="--", label="b: 2(n−1)d")
    whole = table[table["layout"] != "half of the bits"]
    for (values, layout), rows in whole.groupby(["values", "layout"]):
        index = ARBITRARY if values == "arbitrary" else STORED[str(layout)]
        axes.plot(rows["n"], rows["charged_bits"], color=COLOURS[index], marker=MARKERS[index],
                  mfc="none", mew=1.5, ms=9 if index == 1 else 7, lw=0.9, ls="-",
                  label="b: n² arbitrary rows" if index == ARBITRARY else None)  # fmt: skip
    ticks = sorted(table["n"].unique())
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(ticks, [str(int(n)) for n in ticks])
    axes.minorticks_off()
    axes.set_xlabel("data tokens n (log)")
    axes.set_ylabel("message bits (log)")
    axes.set_title(f"b  the size of the layouts: d = {d}")
