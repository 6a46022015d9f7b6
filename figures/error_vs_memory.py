"""Error against memory: where each compressor stands between the limit and guessing.

The horizontal axis is M/N, charged bits per secret bit, logarithmic, with the compression ratio
against a 16-bit K and V cache on top. No (rate, error) point can lie in the shaded region below
Fano's curve M/N = 1 - h(e); time sharing and two perfect codes show how near one
can come.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..reductions.bounds import CODES
from .error_panel import LIMIT, Point, cloud, curve, fano_limit, time_sharing_line
from .style import FAINT, INK, house_style, legend_below, plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEFT_EDGE = 0.04
NAMED = 40
"""How many series a legend names; the points of more are dots."""


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    from ..experiments.error_vs_memory.measure import POINTS

    draw(POINTS.read(folder), path)


def draw(points: Sequence[Point], path: Path, *, title: str | None = None) -> None:
    """Draw points in the form of ``attack --json`` into ``path``: PNG, SVG or PDF, by its suffix.

    A point of a compressor that sends nothing (M = 0) is drawn at the left edge with an arrow.
    Past ``NAMED`` series the points are dots without names and intervals, and the caption says so.
    """
    from matplotlib import pyplot

    with house_style():
        figure, axes = pyplot.subplots(figsize=(8.6, 5.2), layout="constrained")
        _limits(axes)
        series = _series(points)
        if len(series) > NAMED:
            cloud(axes, points, LEFT_EDGE)
        else:
            for index, (label, members) in enumerate(series.items()):
                curve(axes, index, label, members, LEFT_EDGE)
        _frame(axes, points)
        axes.set_title(plain(title or _title(points)))
        handles, labels = axes.get_legend_handles_labels()
        legend_below(figure, handles, labels, columns=4, caption=_caption(points, len(series)))
        save(figure, path)


def _limits(axes: Axes) -> None:
    fano_limit(axes, LEFT_EDGE)
    time_sharing_line(axes, LEFT_EDGE)
    best = [code for code in CODES if code.name.startswith(("Hamming(7", "Golay(23"))]
    axes.plot(
        [float(code.rate) for code in best],
        [float(code.distortion) for code in best],
        "*",
        color=INK,
        ms=15,
        ls="none",
        mfc="white",
        label="Hamming(7,4), Golay(23,12)",
        zorder=2,
    )
    axes.text(0.052, 0.035, "impossible\n(information theory)", color=LIMIT, fontsize=9)


def _series(points: Sequence[Point]) -> dict[str, list[Point]]:
    series: dict[str, list[Point]] = {}
    for point in points:
        series.setdefault(_label(point), []).append(point)
    return series


def _label(point: Point) -> str:
    return plain(point.get("series") or point["compressor"])


def _frame(axes: Axes, points: Sequence[Point]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    right = max([70.0] + [1.3 * float(p["bits_per_secret_bit"]) for p in points])
    axes.set_xscale("log")
    axes.set_xlim(LEFT_EDGE, right)
    axes.set_ylim(-0.012, 0.56)
    axes.set_xlabel("memory M/N: charged message bits per secret bit (log scale)")
    axes.set_ylabel("bit error: wrong bits / asked bits")
    axes.xaxis.set_major_locator(FixedLocator([0.0625, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.axhline(0.1, color=FAINT, lw=0.8, ls=":")
    axes.text(right / 1.03, 0.104, "guarantee: error ≤ 1/10", fontsize=8.5, ha="right", color=FAINT)
    dense = _cache_bits_per_secret_bit(points)
    if dense:
        top = axes.secondary_xaxis("top", functions=(lambda x: dense / np.maximum(x, 1e-9),) * 2)
        top.xaxis.set_major_locator(FixedLocator([512, 256, 128, 64, 32, 16, 8, 4, 2, 1, 0.5]))
        top.xaxis.set_minor_locator(NullLocator())
        top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        top.set_xlabel("compression ratio against a 16-bit K and V cache", fontsize=9.5)


def _cache_bits_per_secret_bit(points: Sequence[Point]) -> float:
    ratios = {
        round(float(p["compression_ratio"]) * float(p["bits_per_secret_bit"]), 6)
        for p in points
        if p.get("compression_ratio") and float(p["bits_per_secret_bit"]) > 0
    }
    return ratios.pop() if len(ratios) == 1 else 0.0


def _title(points: Sequence[Point]) -> str:
    games = {(p["reduction"], p["keys"], p["n"], p["d"]) for p in points}
    if len(games) != 1:
        return "Bit error against memory"
    reduction, keys, n, d = games.pop()
    return f"Bit error against memory: {reduction} game, {keys} keys, n = {n}, d = {d}"


def _caption(points: Sequence[Point], series: int) -> str:
    messages = [int(p["messages"]) for p in points]
    levels = {float(p["bit_error"]["level"]) for p in points}
    span = f"{min(messages)}" if len(set(messages)) == 1 else f"{min(messages)} to {max(messages)}"
    level = ", ".join(f"{100 * value:g} %" for value in sorted(levels))
    if series > NAMED:
        return (
            f"{series} series, more than a legend can name: each dot is a setting, of {span} "
            "independent messages; 'kvbarrier report' lists names and intervals."
        )
    return (
        f"Bars: anytime-valid {level} intervals over {span} independent messages a point. "
        "Memory: charged bits of the serialised message."
    )
