"""SubGen: its error against the eps asked for, and its memory against n and d."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.kit.tables import read_table
from ..experiments.subgen.measure import GROWTH, GUARANTEE, INDEX, MEMORY, TIGHT
from .style import COLOURS, FAINT, INK, LIMIT, MARKERS, beside, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MORE = ("subgen-error",)
STREAMS = {"clusterable": 0, "uniform": 1}


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder``."""
    guarantee, growth, memory, tight, index = (
        read_table(folder, name) for name in (GUARANTEE, GROWTH, MEMORY, TIGHT, INDEX)
    )
    draw_memory(growth, index, memory, tight, path)
    draw_error(guarantee, beside(path, "error"))


def draw_error(guarantee: pd.DataFrame, path: Path) -> None:
    """Draw the error against the eps asked for into ``path``."""
    with page(path, "SubGen: its error against the ε asked for", height=6.2) as (figure, axes):
        _error(axes, guarantee)
        first = guarantee.iloc[0]
        runs = guarantee.groupby("stream")["runs"].min()
        caption = (
            f"n = {int(first['n'])}, d = {int(first['d'])}, δ = {first['delta']:g}, |q| = r = "
            f"{first['r']:g}, t and s of Theorem 11 times a constant (filled 4, hollow 1; ours). "
            "Marks: median; bars reach the 99 % quantile\n"
            f"of {int(runs['clusterable'])} (clusterable) and {int(runs['uniform'])} (uniform: "
            "about the largest) independent runs. Percentages: clusterable runs within ε, in "
            f"brackets exact {100 * first['level']:g} % intervals."
        )
        legend_below(figure, [axes], columns=3, caption=caption)


def draw_memory(
    growth: pd.DataFrame, index: pd.DataFrame, memory: pd.DataFrame, tight: pd.DataFrame, path: Path
) -> None:
    """Draw the memory against n and against d into ``path``."""
    memory, tight = (table[table["n"] > 0.9 * table["n"].max()] for table in (memory, tight))
    title = "SubGen: small where keys cluster, and as large as the cache where they do not"
    with page(path, title, 1, 2, height=6.2) as (figure, (left, right)):
        _growth(left, growth, index)
        _memory(right, memory, tight)
        caption = (
            f"Left: t = {int(growth['t'].iloc[0])}, s = {int(growth['s'].iloc[0])}, mean of "
            f"{growth['draw'].nunique()} independent streams. Right: n = "
            f"{int(memory['n'].iloc[0]):,} keys of the unit ball, δ = {memory['delta'].iloc[0]:g}, "
            f"ε = {memory['eps'].iloc[0]:g}, r = {memory['r'].iloc[0]:g},\nconstant 8 (ours), "
            f"range of {memory['draw'].nunique()} independent streams; and as many tokens that "
            "repeat the keys certified at R = d (δ = 0, ε = 1, r = d;\nthe lower bound is for "
            "answers within 1 ± η = 1 ± 1/2, not for ε). Memory: bits of the saved float32 state."
        )
        legend_below(figure, (left, right), columns=2, caption=caption)


def _error(axes: Axes, table: pd.DataFrame) -> None:
    eps = np.array(sorted(table["eps"].unique()))
    axes.plot(eps, eps, color=LIMIT, lw=1.6, label="guarantee: error = ε")
    shift = {"clusterable": 0.985, "uniform": 1.03}
    for (stream, constant), rows in table.groupby(["stream", "constant"], sort=True):
        index = STREAMS[str(stream)]
        x = rows["eps"] * shift[str(stream)]
        axes.errorbar(
            x, rows["median"], yerr=[0 * rows["median"], rows["q99"] - rows["median"]], ls="",
            color=COLOURS[index], marker=MARKERS[index], capsize=3, lw=1,
            mfc=COLOURS[index] if constant > 1 else "white",
            label=f"{stream} keys, constant {constant:g}",
        )  # fmt: skip
    own = table[table["stream"] == "clusterable"]
    for constant, height in ((1.0, 0.98), (4.0, 0.03)):
        rows = own[own["constant"] == constant].sort_values("eps")
        low, high = 100 * rows["low"].min(), 100 * rows["high"].max()
        shares = 100 * rows["share"]
        said = (
            f"{shares.min():.0f} %" if shares.min() == shares.max()
            else f"{shares.min():.0f} to {shares.max():.0f} %"
        )  # fmt: skip
        axes.text(0.03 if constant == 1 else 0.97, height,
                  f"constant {constant:g}: {said} within ε\n[{low:.1f}, {high:.1f}]",
                  transform=axes.transAxes, fontsize=8.6, color=COLOURS[0],
                  ha="left" if constant == 1 else "right",
                  va="top" if constant == 1 else "bottom")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(float(table["median"].min()) / 2.2, float(table["q99"].max()) * 2.2)
    axes.set_xticks(eps, [f"{value:g}" for value in eps])
    axes.minorticks_off()
    ticks = (0.1, 0.2, 0.5, 1.0, 2.0)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("ε asked for (log scale)")
    axes.set_ylabel("|z − Attn| / (|softmax| |V|op)  (log scale)")


def _growth(axes: Axes, table: pd.DataFrame, index: pd.DataFrame) -> None:
    for stream, rows in table.groupby("stream"):
        at = STREAMS[str(stream)]
        mean = rows.groupby("n")["bits"].mean()
        axes.plot(mean.index, mean, color=COLOURS[at], marker=MARKERS[at], lw=1.1,
                  label=f"{stream} keys, memory")  # fmt: skip
    cache = table.groupby("n")["cache_bits_32"].first()
    axes.plot(cache.index, cache, color=FAINT, lw=1.3, ls="--", label="full float32 cache")
    times = float((index["bits"] / index["cache_bits_32"]).min())
    axes.text(0.03, 0.98, f"Index game: m = n in all\n{int(index['messages'].sum())} messages, "
              f"{times:.1f} caches or more",
              transform=axes.transAxes, fontsize=8.6, color=INK, va="top")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(top=float(cache.max()) * 6)
    axes.minorticks_off()
    axes.set_xticks(list(cache.index), [f"{int(n)}" for n in cache.index], fontsize=8.6)
    axes.set_xlabel("tokens n (log scale)")
    axes.set_ylabel("charged bits (log scale)")
    axes.set_title("memory against n")


def _memory(axes: Axes, table: pd.DataFrame, tight: pd.DataFrame) -> None:
    group = table.groupby("d")
    d = np.array(sorted(group.groups), dtype=float)
    middle = group["bits"].mean()
    spread = [middle - group["bits"].min(), group["bits"].max() - middle]
    axes.errorbar(d, middle, yerr=spread, color=COLOURS[2], marker=MARKERS[2], capsize=3, lw=1.1,
                  label="SubGen, uniform keys of the unit ball")  # fmt: skip
    axes.plot(d, group["upper_bits"].first(), color=INK, lw=1.3, ls="-.",
              label="upper bound (19), constant 8, 32 bits a number")  # fmt: skip
    tight = tight.sort_values("d")
    axes.plot(tight["d"], tight["cache_bits_32"], color=FAINT, lw=1.3, ls="--")
    axes.plot(tight["d"], tight["bits"], color=COLOURS[3], marker=MARKERS[3], lw=1.1,
              label="SubGen, certified keys repeated")  # fmt: skip
    axes.plot(tight["d"], tight["lower_bits"], color=LIMIT, lw=1.6, marker="_",
              label="lower bound (Cor. 9) on those, η = 1/2")  # fmt: skip
    axes.set_yscale("log")
    axes.set_xticks(list(tight["d"]))
    axes.set_xlabel("dimension d")
    axes.set_ylabel("charged bits (log scale)")
    axes.set_title("memory against d")
