"""Readers: error against the share of tokens read, planned or not; beside it, what memory does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..experiments.kit.tables import read_table
from ..experiments.non_adaptive.measure import ADAPTIVE, CACHES, PATTERNS, STATES, TIME
from ..reductions.hiding import error_line, minimax_error
from .style import COLOURS, FORBIDDEN, INK, LIMIT, MARKERS, beside, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MORE = ("non-adaptive-memory",)
# What keeps the same tokens has the same look on both sides: filled when read, hollow when kept.
LOOKS = {
    name: (COLOURS[index], MARKERS[index])
    for index, names in enumerate(
        (
            ("sampling", "sampling kept", "greedy"),
            ("window", "sliding-window", "bisection"),
            ("sinks", "streaming-llm", "bandit"),
            ("strided", "strided kept", "learned-order"),
            ("fixed", "early-stopping"),
            ("random-blocks", "reservoir"),
            ("big-bird", "big-bird kept"),
            ("quantized",),
            ("exact",),
        )
    )
    for name in names
}


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder``."""
    names = (PATTERNS, ADAPTIVE, CACHES, STATES, TIME)
    patterns, adaptive, caches, states, time = (read_table(folder, name) for name in names)
    draw_readers(patterns, adaptive, path)
    draw_memory(caches, states, time, beside(path, "memory"))


def draw_readers(patterns: pd.DataFrame, adaptive: pd.DataFrame, path: Path) -> None:
    """Draw what readers lose by the share that they read, planned (left) or not, into ``path``."""
    title = "Deciding what to read before there is anything to read"
    with page(path, title, 1, 2, height=6.4, sharey=True) as (figure, (left, right)):
        _reads(left, patterns, "readers that choose beforehand")
        _reads(right, adaptive, "readers that choose as they read", "as they read: ")
        right.set_xlabel("share f that is read on $D_0$")
        right.set_ylabel("")
        n, d = int(patterns["n"].iloc[0]), int(patterns["d"].iloc[0])
        caption = (
            "Streams: all tokens alike ($D_0$, probability 1/2), or a random one hides a value "
            f"($D_i$); n = {n}, d = {d}, η = 1/2.\n"
            f"Left: {int(patterns['trials'].min())} independent trials a point; a reader commits "
            "what it reads before the stream is drawn. Shaded: no reader's true\nerror is there "
            "(Theorem 19, formula reconstructed); a measured one may be, by chance, within its bar."
            f"\nRight: each cell is chosen after the last one was seen; "
            f"{int(adaptive['trials'].min())} independent trials a point. What it reads on $D_0$ "
            f"is its plan.\nBars: anytime-valid {100 * patterns['level'].iloc[0]:g} % intervals."
        )
        legend_below(figure, (left, right), columns=4, caption=caption)


def draw_memory(caches: pd.DataFrame, states: pd.DataFrame, time: pd.DataFrame, path: Path) -> None:
    """Draw the same game with a memory, which Theorem 19 does not cover, into ``path``."""
    title = "What a memory changes, where planned reads are not enough"
    with page(path, title, 1, 2, height=6.2) as (figure, (left, right)):
        _memory(left, caches)
        _states(right, states, time)
        caption = (
            f"Left: compressors, {int(caches['trials'].min())} independent trials a point; each "
            "token passes through their hands, so Theorem 19 does not cover them.\nBars: "
            f"anytime-valid {100 * caches['level'].iloc[0]:g} % intervals. Right: counts of reads "
            "and of bits, no sampling."
        )
        legend_below(figure, (left, right), columns=4, caption=caption)


def _reads(axes: Axes, table: pd.DataFrame, title: str, kind: str = "") -> None:
    shares = np.linspace(0, 1, 101)
    line = np.array([error_line(f) for f in shares])
    axes.fill_between(shares, 0, line, color=FORBIDDEN, lw=0, zorder=0)
    axes.plot(shares, line, color=LIMIT, lw=1.8)
    axes.plot(shares, [minimax_error(f) for f in shares], color=INK, ls="--", lw=1.4)
    axes.text(0.04, 0.06, "below (1 − f)/2:\nexcluded by Theorem 19", color=LIMIT, fontsize=9)
    axes.text(0.6, 0.325, "(1 − f)/(2 − f): worst of\n$D_0$ and all $D_i$ (ours)", fontsize=9)
    for name in (name for name in dict.fromkeys(table["pattern"]) if name != "minimax"):
        rows = table[table["pattern"] == name]
        _points(axes, rows["f"], rows, str(name), f"{kind}{name}")
    best = table[table["pattern"] == "minimax"]
    if len(best):
        worst = np.maximum(
            best["plain_wrong"] / best["plain"], best["hidden_wrong"] / best["hidden"]
        )
        axes.plot(best["f"], worst, ls="", marker="*", ms=11, mfc="none", mew=1.3, color=INK,
                  label="minimax, its worst case")  # fmt: skip
    axes.set_xlabel("share f of the n − 1 hideable tokens that is read")
    axes.set_ylabel("error (output not within 1 ± η)")
    axes.set_title(title)
    axes.set_xlim(-0.02, 1.03)
    axes.set_ylim(-0.015, 0.67)


def _memory(axes: Axes, table: pd.DataFrame) -> None:
    for name in dict.fromkeys(table["compressor"]):
        rows = table[table["compressor"] == name].sort_values("memory")
        if name != "largest key":
            _points(axes, rows["memory"], rows, str(name), str(name), hollow=True)
            continue
        axes.plot(rows["memory"], rows["error"], ls="", marker="*", ms=15, color=COLOURS[5],
                  mec=INK, label="largest key", zorder=5)  # fmt: skip
        axes.annotate("one token and the\nmean of the others", (rows["memory"].iloc[0], 0.0),
                      xytext=(0, 34), textcoords="offset points", fontsize=9, ha="left",
                      arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.8})  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("charged message bits / 16-bit cache (log scale)")
    axes.set_ylabel("error (output not within 1 ± η)")
    axes.set_ylim(-0.015, 0.67)
    axes.set_title("caches, not covered by Theorem 19")


def _states(axes: Axes, states: pd.DataFrame, time: pd.DataFrame) -> None:
    """What is left to read with no state, with an address, with one token and a mean."""
    uniform = time[(time["family"] == "token") & (time["criterion"] == "prior 1/2")]
    needed = uniform.set_index("n")["reads"]
    for index, (n, rows) in enumerate(states.groupby("n")):
        rows = rows.sort_values("state_bits")
        bits, reads = [0, *rows["state_bits"]], [needed.get(n, np.nan), *rows["reads"]]
        axes.plot(bits, reads, color=COLOURS[index], marker=MARKERS[index], lw=0.9, ls=":",
                  label=f"n = {int(n):,}")  # fmt: skip
    for x, y, words in (
        (0.2, 900, "no state: .8 (n − 1) reads"),
        (14, 1.3, "the address of\none token"),
        (500, 0.4, "one token\nand a mean"),
    ):
        axes.text(x, y, words, fontsize=9)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xlim(-0.2, 6000)
    axes.set_ylim(-0.12, 3000)
    axes.set_xlabel("bits of state from the stream (log scale)")
    axes.set_ylabel("tokens read for success 9/10 (log scale)")
    axes.set_title("what a state replaces")


def _points(axes: Axes, x: Any, rows: pd.DataFrame, name: str, label: str,
            hollow: bool = False) -> None:  # fmt: skip
    spread = np.maximum([rows["error"] - rows["low"], rows["high"] - rows["error"]], 0.0)
    colour, marker = LOOKS[name]
    axes.errorbar(x, rows["error"], yerr=spread, color=colour, marker=marker, ls="",
                  mfc="none" if hollow else colour, elinewidth=0.8, label=label)  # fmt: skip
