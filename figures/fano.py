"""Fano's bound against exact optima: the error, the proof's inequalities, and whole Hamming balls.

Left: the least mean bit error of any protocol against the rate, on or above Fano's curve.
Middle: for N = 4, the terms of the bound's proof at an optimal protocol, one above the other.
Right: the share of all 2^12 secrets that come back with at most k errors, and its bound.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.fano.measure import CHAIN, HYPER, OPTIMUM
from ..experiments.kit.tables import read_table
from ..reductions.bounds import error_floor
from .style import COLOURS, FAINT, FORBIDDEN, INK, LIMIT, MARKERS, caption_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

TERMS = (
    ("length", "log₂ L: the message"),
    ("joint", "I(X; M)"),
    ("marginal", "Σ I(Xᵢ; M)"),
    ("fano", "Σ (1 − h(eᵢ))"),
    ("concave", "N (1 − h(e))"),
)
RADII = (0, 1, 2, 3)
BOUND = LIMIT


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(read_table(folder, OPTIMUM), read_table(folder, CHAIN), read_table(folder, HYPER), path)


def draw(optimum: pd.DataFrame, chain: pd.DataFrame, hyper: pd.DataFrame, path: Path) -> None:
    """Draw the tables of ``experiments.fano.measure`` as a PNG."""
    title = "Fano's bound against the best protocols there are"
    with page(path, title, 1, 3, height=5.0) as (figure, axes):
        _optimum(axes[0], optimum)
        _chain(axes[1], chain)
        _balls(axes[2], hyper)
        for panel in axes:
            panel.title.set_fontsize(10.5)
            panel.legend(loc="lower right" if panel is axes[2] else "best", fontsize=8.6)
        encoders = hyper["encoder"].nunique()
        caption = (
            "No sampling, so no intervals: every number is a count over all secrets X of N random "
            "bits. Left and middle: the best of all protocols with L\n"
            "different messages M, rate (log₂ L)/N; e: mean bit error, eᵢ: that of bit i, h: "
            "binary entropy, I: mutual information. All encoders (N ≤ 3), all decoders\n"
            "and dynamic programming over subsets (N ≤ 4) agree on the optimum. Middle: each line "
            f"of the proof lies on or above the next. Right: markers are\nthe best of {encoders} "
            "encoders for each m and k, dots the others, V(12, k) the number of words with at most "
            "k ones; no encoder can pass the line of its colour."
        )
        caption_below(figure, caption)


def _optimum(axes: Axes, table: pd.DataFrame) -> None:
    rates = np.linspace(0.0, 1.0, 201)
    floor = np.array([error_floor(float(rate)) for rate in rates])
    axes.fill_between(rates, 0, floor, color=FORBIDDEN, lw=0, zorder=0)
    axes.plot(rates, floor, color=BOUND, lw=1.8, label="Fano: h⁻¹(1 − rate)")
    axes.plot(rates, (1 - rates) / 2, color=FAINT, ls="--", lw=1.2, label="keep a share, guess")
    for index, (N, rows) in enumerate(table.groupby("N")):
        axes.plot(rows["bits"] / N, rows["errors_subsets"] / rows["asked"], ls="none",
                  marker=MARKERS[index], color=COLOURS[(0, 2, 3, 7)[index]], mfc="none", mew=1.4,
                  ms=8.5 - 1.2 * index, label=f"optimum, N = {N}")  # fmt: skip
    axes.text(0.04, 0.03, "impossible", color=BOUND, fontsize=9)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.01, 0.53)
    axes.set_xlabel("rate: message bits per secret bit")
    axes.set_ylabel("mean bit error e")
    axes.set_title("exact optimum for each L")


def _chain(axes: Axes, table: pd.DataFrame) -> None:
    rows = table[table["N"] == table["N"].max()]
    colours = (INK, COLOURS[0], COLOURS[2], COLOURS[3], BOUND)
    for (column, label), colour, marker in zip(TERMS, colours, MARKERS, strict=False):
        axes.plot(rows["L"], rows[column], color=colour, marker=marker, ms=4, mfc="none", lw=1.2,
                  label=label)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xlabel("messages L (log scale)")
    axes.set_ylabel("bits")
    axes.set_title(f"the proof, line by line, N = {int(rows['N'].iloc[0])}")


def _balls(axes: Axes, table: pd.DataFrame) -> None:
    for k, colour, marker in zip(RADII, COLOURS, MARKERS, strict=False):
        rows = table[table["k"] == k]
        best = rows.groupby("m")["within"].max() / rows["secrets"].iloc[0]
        bound = rows.groupby("m")["bound"].first() / rows["secrets"].iloc[0]
        axes.plot(bound.index, np.minimum(bound, 1.0), color=colour, lw=1.3,
                  label="bound 2ᵐ V(12, k) / 2¹²" if k == 0 else None)  # fmt: skip
        axes.plot(rows["m"], rows["within"] / rows["secrets"], ".", color=colour, ms=2.5, alpha=0.7)
        axes.plot(best.index, best, ls="none", marker=marker, color=colour, mfc="none", mew=1.3,
                  ms=5.5, label=f"k = {k}")  # fmt: skip
    axes.set_yscale("log", base=2)
    axes.set_ylim(2.0**-18, 1.5)
    axes.set_xlabel("message bits m")
    axes.set_ylabel("share of secrets with ≤ k wrong bits")
    axes.set_title("all 2¹² secrets of N = 12 bits")
