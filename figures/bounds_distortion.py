"""What error a cache of so many bits must have, on even grids of 4, 16 and 256 levels.

Left the least root mean square error, right the least share of wrong numbers, with the quantised
caches of the catalog as they were played.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .style import COLOURS, INK, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BY_LEVELS = {4: COLOURS[0], 16: COLOURS[1], 256: COLOURS[2]}
"""A colour for each number of levels."""
CACHE_MARKERS = {8: "s", 4: "D", 2: "^"}
LEAST_SHOWN = 1e-3


def draw(floors: pd.DataFrame, caches: pd.DataFrame, path: Path) -> None:
    """Draw the floors and the caches into ``path``."""
    title = "The error that so many bits a number must have"
    with page(path, title, 1, 2, height=5.6) as (figure, (rms, wrong)):
        draw_rms(rms, floors, caches)
        draw_wrong(wrong, floors, caches)
        counts = " or ".join(str(n) for n in sorted(set(caches["messages"])))
        caption = (
            "Lines are arithmetic (rate-distortion), so no intervals. Filled marks: min-max caches "
            f"as played, n = {caches['n'].iloc[0]}, d = {caches['d'].iloc[0]}, {counts}\nmessages; "
            "a mark is charged for K and V, its line reaches to V alone."
        )
        legend_below(figure, [rms], columns=3, caption=caption)


def draw_rms(axes: Axes, floors: pd.DataFrame, caches: pd.DataFrame) -> None:
    """The least root mean square error, a share of the grid's range."""
    for levels, colour in BY_LEVELS.items():
        rows = floors[floors["levels"] == levels].sort_values("bits_per_number")
        rows = rows[rows["bits_per_number"] > 0]
        width = levels - 1
        sharing = rows["mse_time_sharing"] ** 0.5 / width
        shown = rows[rows["mse"] ** 0.5 / width > LEAST_SHOWN / 4]
        axes.plot(shown["bits_per_number"], shown["mse"] ** 0.5 / width, color=colour,
                  label=f"{levels} levels: least error")  # fmt: skip
        last = levels == max(BY_LEVELS)
        axes.plot(rows["bits_per_number"], sharing, "--", lw=0.9, color=colour,
                  label="time sharing" if last else None)  # fmt: skip
        high = rows[rows["mse_requantised"] > 0]
        axes.plot(high["bits_per_number"], high["mse_requantised"] ** 0.5 / width, "o", ms=4.5,
                  mfc="white", color=colour,
                  label="the high bits kept" if last else None)  # fmt: skip
    met = caches[caches["mse"] ** 0.5 / (caches["levels"] - 1) > LEAST_SHOWN]
    for _, row in met.iterrows():
        # On coarser grids the same cache errs nearly the same: one name is enough.
        finest = row["levels"] == max(BY_LEVELS)
        _cache(axes, row, row["mse"] ** 0.5 / (row["levels"] - 1), named=finest)
    axes.set_yscale("log")
    axes.set_ylim(LEAST_SHOWN, 0.5)
    axes.set_ylabel("rms error / range (log)")
    axes.set_title("rms error on an even grid")
    _bits_axis(axes)


def draw_wrong(axes: Axes, floors: pd.DataFrame, caches: pd.DataFrame) -> None:
    """The least share of wrong numbers."""
    for levels, colour in BY_LEVELS.items():
        rows = floors[floors["levels"] == levels].sort_values("bits_per_number")
        rows = rows[rows["bits_per_number"] > 0]
        axes.plot(rows["bits_per_number"], rows["symbol_error"], color=colour)
        axes.plot(rows["bits_per_number"], rows["symbol_time_sharing"], "--", lw=0.9, color=colour)
    for _, row in caches.iterrows():
        # Without an error only the cache that has just the bits of the levels is named.
        own = row["symbol_error"] > 0.01 or row["levels"] == 2 ** row["cache_bits"]
        _cache(axes, row, row["symbol_error"], named=own)
    axes.set_ylim(-0.04, 1.03)
    axes.set_ylabel("wrong numbers / numbers")
    axes.set_title("wrong numbers on that grid")
    _bits_axis(axes)


def _cache(axes: Axes, row: Any, error: float, *, named: bool) -> None:
    """A quantised cache: a mark at all bits charged, a line back to what its values alone take."""
    colour, marker = BY_LEVELS[int(row["levels"])], CACHE_MARKERS[int(row["cache_bits"])]
    axes.plot([row["bits_per_number_v"], row["bits_per_number"]], [error, error], lw=0.9,
              color=colour)  # fmt: skip
    axes.plot(row["bits_per_number"], error, marker, ms=6, color=colour)
    if named:
        axes.annotate(f"{row['cache_bits']:.0f} bits", (row["bits_per_number"], error), (0, 6),
                      ha="center", textcoords="offset points", fontsize=9, color=INK)  # fmt: skip


def _bits_axis(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.125, 28)
    axes.set_xticks([0.125, 0.5, 2, 8], ["1/8", "1/2", "2", "8"])
    axes.set_xlabel("message bits per number (log)")
