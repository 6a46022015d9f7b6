"""Panels of the figure ``bounds`` about bits a number.

The precision law; then, for even grids of 4, 16 and 256 levels, the least root mean square error
and the least share of wrong numbers at so many message bits a number, with quantised caches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .style import COLOURS, FAINT, INK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: half a step of the last place, relative
FORMATS = {"fp8 e4m3": 2.0**-4, "bf16": 2.0**-9}
#: a colour for each number of levels
BY_LEVELS = {4: COLOURS[0], 16: COLOURS[1], 256: COLOURS[2]}
CACHE_MARKERS = {8: "s", 4: "D", 2: "^"}
LEAST_SHOWN = 1e-3


def draw_law(axes: Axes, law: pd.DataFrame) -> None:
    """Bits a number against the tolerance, which falls to the right."""
    rows = law.sort_values("tolerance")
    for colour, (wide, own) in enumerate(rows[rows["error"] == "relative"].groupby("value_range")):
        axes.plot(own["tolerance"], own["bits"], "--", color=COLOURS[colour + 3],
                  label=f"±η, values within {wide:,.0f}x")  # fmt: skip
    own = rows[rows["error"] == "additive"]
    axes.plot(own["tolerance"], own["bits"], color=INK, label="±γ, values in [0, 1]")
    for bits, marker in CACHE_MARKERS.items():
        axes.plot(2.0 ** -(bits + 1), bits, marker, color=INK, mfc="white", ms=6.5)
        axes.annotate(f"{bits} bits", (2.0 ** -(bits + 1), bits), (9, -15),
                      textcoords="offset points", fontsize=7.8, color=INK)  # fmt: skip
    for name, half in FORMATS.items():
        axes.axvline(half, color=FAINT, ls=":", lw=1.1)
        axes.annotate(name, (half, 0), (3, 3), textcoords="offset points", fontsize=7.8,
                      color=FAINT)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.5, 2.0**-12)
    axes.set_ylim(0, None)
    axes.set_xlabel("error allowed, η or γ (share, log)")
    axes.set_ylabel("bits per number, log2 of the levels")
    axes.set_title("what a precision is worth")


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
        _cache(axes, row, row["mse"] ** 0.5 / (row["levels"] - 1))
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
        _cache(axes, row, row["symbol_error"])
    axes.set_ylim(-0.04, 1.03)
    axes.set_ylabel("wrong numbers / numbers")
    axes.set_title("wrong numbers on that grid")
    _bits_axis(axes)


def _cache(axes: Axes, row: Any, error: float) -> None:
    """A quantised cache: a mark at all bits charged, a line back to what its values alone take."""
    colour, marker = BY_LEVELS[int(row["levels"])], CACHE_MARKERS[int(row["cache_bits"])]
    axes.plot([row["bits_per_number_v"], row["bits_per_number"]], [error, error], lw=0.9,
              color=colour)  # fmt: skip
    axes.plot(row["bits_per_number"], error, marker, ms=6, color=colour)
    # Without an error only the cache that has just the bits of the levels is named.
    if error > 0.01 or row["levels"] == 2 ** row["cache_bits"]:
        axes.annotate(f"{row['cache_bits']:.0f} bits", (row["bits_per_number"], error), (0, 6),
                      ha="center", textcoords="offset points", fontsize=7.8,
                      color=colour)  # fmt: skip


def _bits_axis(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.125, 28)
    axes.set_xticks([0.125, 0.5, 2, 8], ["1/8", "1/2", "2", "8"])
    axes.set_xlabel("message bits per number (log)")
