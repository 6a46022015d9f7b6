"""Visual autoregression: error against memory, and certified bits against the last map's side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..experiments.kit.played import Played
from ..experiments.kit.tables import read_table
from ..experiments.visual.claims import slope
from ..experiments.visual.measure import CUT, DOUBLING, ENLARGED, MODELS, PLAYED, SIDES
from .error_panel import error_panel
from .style import COLOURS, INK, LIMIT, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ORDER = ("exact", "sliding-window", "lossless", "time-sharing", "covering-code", "zero",
         "quantized", "streaming-llm", "reservoir")  # fmt: skip
FAMILIES = ((ENLARGED, "p"), (DOUBLING, "P"), (MODELS, "*"), (CUT, "."))


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(Played(PLAYED).read(folder), read_table(folder, SIDES), path)


def draw(played: list[dict[str, Any]], sides: pd.DataFrame, path: Path) -> None:
    """Draw played points (``attack --json``'s form) and the table of pyramids as a PNG."""
    n = max(int(point["n"]) for point in played)
    played = [point for point in played if int(point["n"]) == n]
    title = "Visual autoregression: the earlier maps hold a constant times side² · d bits"
    with page(path, title, 1, 2, height=5.6) as (figure, (left, right)):
        error_panel(left, played, ORDER)
        left.set_title(f"a  the game: n = {n}, then 16 × 16; d = {int(played[0]['d'])}")
        _sides(right, sides)
        caption = (
            f"a: {int(played[0]['messages'])} independent messages a point, anytime-valid 95 % "
            "intervals; dotted: error 1/10, half the bits; arrow: sends nothing.\n"
            "N = nd secret bits. Bob appends the last map's 256 zero tokens at once, so a cache of "
            "recent tokens must have room for these too.\n"
            "b: nd bits of the n tokens before the last map, certified at η = 1/2 and all decoded "
            f"in {int(sides['messages'].min())} messages a pyramid. In brackets: least-squares\n"
            "slopes; two families keep their shape as they grow, the published models' sides and "
            "the cuts do not."
        )
        legend_below(figure, [left], columns=5, caption=caption)


def _sides(axes: Axes, table: pd.DataFrame) -> None:
    d = int(table["d"].iloc[0])
    span = np.geomspace(table["side"].min(), table["side"].max(), 33)
    axes.plot(span, span**2 * d, color=LIMIT, lw=1.4, ls=":", label="side² · d (slope 2)")
    for index, (family, marker) in enumerate(FAMILIES):
        rows = table[table["family"] == family].sort_values("side")
        axes.plot(rows["side"], rows["certified_bits"], color=COLOURS[(1, 0, 3, 6)[index]],
                  marker=marker, ms=9, lw=1.1, label=f"{family} ({slope(rows):.2f})")  # fmt: skip
    axes.legend(loc="upper left", fontsize=8.6, labelcolor=INK)
    ticks = [side for side in (5, 8, 16, 32, 64, 128) if span[0] <= side <= span[-1]]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(top=40 * span[-1] ** 2 * d)
    axes.set_xticks(ticks, [str(side) for side in ticks])
    axes.minorticks_off()
    axes.set_xlabel("side of the last map (log)")
    axes.set_ylabel("certified bits (log)")
    axes.set_title(f"b  bits of the earlier maps: d = {d}")
