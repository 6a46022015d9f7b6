"""Lazy Gumbel sampling: exactness, space against n in one dimension, error, and the horizon.

Four panels from the tables of ``experiments.gumbel``; lines are exact or proven, points measured.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..compressors.zoo.paper.one_dimension_kernels import expected_frontier, expected_top
from ..experiments.gumbel import claims
from ..experiments.gumbel.measure import CELLS, ERROR, GAP, SPACE
from ..experiments.kit.tables import read_table
from .style import COLOURS, FAINT, INK, MARKERS, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

PAPER, OURS, CONTROL = COLOURS[0], COLOURS[1], COLOURS[3]


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(
        read_table(folder, CELLS),
        read_table(folder, SPACE),
        read_table(folder, ERROR),
        read_table(folder, GAP),
        path,
    )


def draw(
    cells: pd.DataFrame, space: pd.DataFrame, error: pd.DataFrame, gap: pd.DataFrame, path: Path
) -> None:
    """Draw the four tables as a PNG."""
    title = "Lazy Gumbel sampling: exact softmax draws from a small memory, in one dimension"
    with page(path, title, 2, 2, height=8.2) as (figure, axes):
        _exactness(axes[0][0], cells)
        _space(axes[0][1], space)
        _error(axes[1][0], error)
        _gap(axes[1][1], gap)
        runs = int(claims.space_by_n(space, "top")["runs"].min())
        caption = (
            f"a: {int(cells['draws'].iloc[0]):,} independent draws a sampler, scores N(0, 1), "
            f"n = {int(cells['n'].iloc[0])}; a cell joins neighbouring tokens, "
            f"o counts its draws, e ≥ {int(cells['draws'].iloc[0]) // 128} is expected; "
            "dotted: ± 2.\n"
            f"b: saved messages, fixed counter subtracted; {runs} independent streams and coins a "
            "size, bars joint 99 % normal intervals. $H_n$ = 1 + 1/2 + .. + 1/n.\n"
            f"c: {error['run'].nunique()} independent streams and coins, "
            f"n = {int(error['n'].iloc[0])}; bars 99 % intervals (jackknife over the runs).\n"
            f"d: {gap['stream'].nunique()} streams an order, n = {int(gap['n'].iloc[0]):,}, "
            f"{int(gap['draws'].iloc[0]):,} draws each, values 1 on the true top set, else 0; bars "
            "joint 99 % exact binomial intervals."
        )
        legend_below(figure, axes.flat, columns=2, caption=caption)


def _exactness(axes: Axes, cells: pd.DataFrame) -> None:
    chosen = cells[cells["spread"] == 1.0]
    styles = (
        (0, PAPER, MARKERS[0], "lazy sampler", "a: lazy sampler (Algorithm 2)"),
        (1, CONTROL, MARKERS[6], "control", "a: control, top √n scores 0.1 nats too high"),
    )
    for control, colour, marker, short, label in styles:
        rows = chosen[chosen["control"] == control]
        away = (rows["observed"] - rows["expected"]) / np.sqrt(rows["expected"])
        axes.plot(rows["cell"], away, marker, color=colour, ms=4, ls="none", label=label)
        p, freedom = claims.chi_square(rows)
        shown = f"{p:.2f}" if p >= 0.01 else f"{p:.0e}"
        axes.text(
            0.98,
            0.96 - 0.075 * control,
            f"{short}: chi-square p = {shown} ({freedom} dof)",
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=9,
            color=colour,
        )
    for side in (-2, 2):
        axes.axhline(side, color=FAINT, lw=0.9, ls=":")
    axes.axhline(0.0, color=INK, lw=0.9)
    axes.set_ylim(-4.4, 7.2)
    axes.set_xlabel("cell of tokens, largest scores first")
    axes.set_ylabel("(o − e) / √e")
    axes.set_title("a  The draws are the softmax's")


def _space(axes: Axes, space: pd.DataFrame) -> None:
    n = np.geomspace(float(space["n"].min()), float(space["n"].max()), 200)
    # A run has d_v = 1, so a token is an index, a key and a value of 32 bits each.
    token = 3 * 32.0
    slope, error = claims.space_slope(claims.space_by_n(space, "top"))
    half = claims.deviate() * error
    axes.plot(n, n * token, color=FAINT, ls="-.", lw=1.3, label="b: every token")
    axes.plot(
        n,
        [token * expected_top(int(x), math.isqrt(int(x)), 1) for x in n],
        color=PAPER,
        ls="--",
        lw=1.3,
        label="b: proven bound on the expectation, about 3.5 √n tokens",
    )
    axes.plot(
        n,
        [token * expected_frontier(int(x)) for x in n],
        color=OURS,
        ls="--",
        lw=1.3,
        label="b: exact expectation 2$H_n$ − 1 tokens",
    )
    styles = (
        ("top", PAPER, MARKERS[0], "b: top and bottom √n keys and samples (Appendix E)"),
        ("frontier", OURS, MARKERS[1], "b: tokens unbeaten in key and Gumbel (ours)"),
    )
    for keep, colour, marker, label in styles:
        rows = claims.space_by_n(space, keep)
        spread = claims.deviate(len(rows)) * rows["bits_error"]
        axes.errorbar(
            rows.index,
            rows["bits"],
            yerr=spread,
            color=colour,
            marker=marker,
            ls="none",
            capsize=2.2,
            elinewidth=1.1,
            label=label,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(300, 3e8)
    axes.set_xlabel("tokens n")
    axes.set_ylabel("expected charged bits")
    axes.text(
        0.03,
        0.95,
        f"measured slope {slope:.3f} ± {half:.3f}\n(last two decades, 99 %)",
        transform=axes.transAxes,
        va="top",
        fontsize=9,
        color=PAPER,
    )
    axes.set_title("b  Space grows as √n, or as ln n")


def _error(axes: Axes, error: pd.DataFrame) -> None:
    grouped = error.groupby("copies")["squared_error"]
    mean = grouped.mean()
    half = claims.deviate() * grouped.std() / np.sqrt(grouped.size())
    root = np.sqrt(mean)
    spread = np.array([root - np.sqrt(np.maximum(mean - half, 0.0)), np.sqrt(mean + half) - root])
    slope, slope_error = claims.error_slope(error)
    copies = mean.index.to_numpy(float)
    axes.plot(copies, copies**-0.5, color=INK, ls="--", lw=1.3, label="c: exact, 1/√m")
    axes.errorbar(
        copies,
        root,
        yerr=spread,
        color=PAPER,
        marker=MARKERS[2],
        ls="none",
        capsize=2.2,
        elinewidth=1.1,
        label="c: mean of m samples against exact attention",
    )
    axes.text(
        0.97,
        0.95,
        f"measured slope −{-slope:.3f} ± {claims.deviate() * slope_error:.3f} (99 %)",
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=9,
        color=PAPER,
    )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel("samples m in an answer")
    axes.set_ylabel("rms error / sd of one sample")
    axes.set_title("c  The error falls as 1/√m")


def _gap(axes: Axes, gap: pd.DataFrame) -> None:
    table = claims.answers(gap)
    orders = list(dict.fromkeys(table["order"]))
    styles = (
        ("growing", CONTROL, MARKERS[3], -0.18, "d: capacity ⌊√t⌋ grows with t"),
        ("horizon", COLOURS[2], MARKERS[4], 0.18, "d: capacity ⌊√n⌋, horizon known"),
    )
    for buffer, colour, marker, shift, label in styles:
        for place, order in enumerate(orders):
            rows = table[(table["buffer"] == buffer) & (table["order"] == order)]
            x = place + shift + np.linspace(-0.12, 0.12, len(rows))
            bars = [rows["answer"] - rows["low"], rows["high"] - rows["answer"]]
            axes.errorbar(
                x,
                rows["answer"] - rows["exact"],
                yerr=np.array(bars),
                color=colour,
                marker=marker,
                ms=4,
                ls="none",
                elinewidth=1.0,
                label=label if place == 0 else None,
            )
            overlap = rows["overlap"].mean()
            axes.text(place + shift, -0.15, f"{overlap:.0%}", color=colour, ha="center", fontsize=9)
    axes.axhline(0.0, color=INK, lw=0.9)
    axes.text(-0.42, -0.1, "share of the true top-√n set held:", fontsize=9, color=INK)
    axes.set_xticks(range(len(orders)), [f"{order} keys" for order in orders])
    axes.set_xlim(-0.5, len(orders) - 0.5)
    axes.set_ylim(-0.18, 0.58)
    axes.set_xlabel("order of the stream")
    axes.set_ylabel("answer − exact attention")
    axes.set_title("d  A growing buffer is not the top set")
