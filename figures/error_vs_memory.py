"""Error against memory: where each compressor stands between the limit and guessing.

The horizontal axis is M/N, charged bits per secret bit, logarithmic, with the compression ratio
against a 16-bit K and V cache on top. No (rate, error) point can lie in the shaded region below
Fano's curve M/N = 1 - h(e); time sharing and two perfect codes show how near one
can come. Each curve has its name beside it; curves that lie on one another share a line and a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..reductions.bounds import CODES, time_sharing_error
from .error_panel import Point, cloud, curve, fano_limit, time_sharing_line
from .labels import Name, name_series, text_in
from .style import COLOURS, FAINT, INK, LIMIT, legend_below, look, page, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEFT_EDGE = 0.04
BESIDE, NAMED = 12, 40
"""How many curves have their names beside them, and how many in a legend; the points of more are
dots."""
_SAME_MEMORY, _SAME_ERROR = 1.2, 0.02
"""Curves of which each point is as near to the other's are one line."""


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder``."""
    from ..experiments.error_vs_memory.measure import POINTS

    draw(POINTS.read(folder), path)


def draw(points: Sequence[Point], path: Path, *, title: str | None = None) -> None:
    """Draw points in the form of ``attack --json`` into ``path``: PNG, SVG or PDF, by its suffix.

    A point of a compressor that sends nothing (M = 0) is drawn at the left edge with an arrow.
    Past ``NAMED`` curves the points are dots without names and intervals, and the caption says so.
    """
    with page(path, width=8.6, height=5.4) as (figure, axes):
        names = _limits(axes)
        curves = _curves(points)
        found = len(curves)
        if len(curves) > NAMED:
            cloud(axes, points, LEFT_EDGE)
            curves = {}
        for index, (label, members) in enumerate(curves.items()):
            drawn = curve(axes, index, label, members, LEFT_EDGE)
            if len(curves) <= BESIDE:
                names.append(Name(label, text_in(COLOURS[look(index)[0]]), drawn))
        _frame(axes, points)
        axes.set_title(plain(title or _title(points)))
        panels = [axes] if len(curves) > BESIDE else []
        legend_below(figure, panels, columns=4, caption=_caption(points, found))
        name_series(figure, axes, [_guarantee(axes), *names])


def _limits(axes: Axes) -> list[Name]:
    """Draw the limits; return the names that are to stand beside them."""
    fano_limit(axes, LEFT_EDGE)
    time_sharing_line(axes, LEFT_EDGE)
    best = [code for code in CODES if code.name.startswith(("Hamming(7", "Golay(23"))]
    stars = [(float(code.rate), float(code.distortion)) for code in best]
    axes.plot(*zip(*stars, strict=True), "*", color=INK, ms=13, ls="none", mfc="white", zorder=2)
    axes.text(
        0.046, 0.02, "impossible (information theory):\nM/N < 1 − h(e), Fano's limit",
        color=LIMIT, fontsize=9, linespacing=1.35,
    )  # fmt: skip
    shares = np.geomspace(0.09, 0.9, 24)
    line = [(float(share), float(time_sharing_error(float(share)))) for share in shares]
    return [
        Name("time sharing: e = (1 − M/N)/2", "#666666", line),
        Name("Hamming(7,4), Golay(23,12)", INK, stars),
    ]


def _guarantee(axes: Axes) -> Name:
    line = [(float(memory), 0.1) for memory in np.geomspace(1.5, axes.get_xlim()[1], 12)]
    return Name("guarantee: error ≤ 1/10", "#666666", line[::-1])


def _curves(points: Sequence[Point]) -> dict[str, list[Point]]:
    """The points of each curve by its name; those that lie on one another are together."""
    series: dict[str, list[Point]] = {}
    for point in points:
        series.setdefault(_label(point), []).append(point)
    together: list[list[str]] = []
    for label, members in series.items():
        mates = (group for group in together if _coincide(series[group[0]], members))
        group = next(mates, None)
        if group is None:
            together.append([label])
        else:
            group.append(label)
    return {", ".join(group): [p for one in group for p in series[one]] for group in together}


def _coincide(one: Sequence[Point], other: Sequence[Point]) -> bool:
    """Whether two curves of several points are the same to the eye."""
    if len(one) != len(other) or len(one) < 2:
        return False
    pairs = zip(*(sorted(map(_at, members)) for members in (one, other)), strict=True)
    return all(
        min(m, w) > 0 and max(m, w) / min(m, w) < _SAME_MEMORY and abs(e - f) < _SAME_ERROR
        for (m, e), (w, f) in pairs
    )


def _at(point: Point) -> tuple[float, float]:
    return float(point["bits_per_secret_bit"]), float(point["bit_error"]["estimate"])


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


def _caption(points: Sequence[Point], curves: int) -> str:
    messages = [int(p["messages"]) for p in points]
    levels = {float(p["bit_error"]["level"]) for p in points}
    span = f"{min(messages)}" if len(set(messages)) == 1 else f"{min(messages)} to {max(messages)}"
    level = ", ".join(f"{100 * value:g} %" for value in sorted(levels))
    if curves > NAMED:
        return (
            f"{curves} series, more than can be named here: each dot is a setting, of {span} "
            "independent messages;\n'kvbarrier report' lists names and intervals."
        )
    return (
        f"A point is a setting; bars: anytime-valid {level} intervals over {span} independent "
        "messages.\nMemory: charged bits of the serialised message. Stars: codes that reach 1/8."
    )
