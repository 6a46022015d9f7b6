"""The leaderboard: what every algorithm buys on every family of streams, and where the limit is.

Left: the least bit error within a quarter of the 16-bit cache, a row an algorithm, a column a
family of streams. Right: how many charged bits stand behind a recovered secret bit on the hard
stream, at each algorithm's best setting; three floors: values only, M = N (1 - h(e)); keys and
values at one bit a number, n (2 d - log2 n) bits, since keys can carry secrets as well; and the
16-bit numbers in use, 32 n d bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .style import COLOURS, FAINT, INK, house_style, legend_below, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = dict[str, Any]
WORST, EDGE = 0.5, 2e3
_HEADS = {
    "hard": "hard",
    "turned": "hard,\nturned",
    "decoy": "hard,\ndecoy",
    "heavy-hitters": "heavy\nhitters",
    "clusters": "clusters",
    "recency": "recency",
}


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    from ..experiments.leaderboard.measure import POINTS

    draw(POINTS.read(folder), path)


def draw(points: Sequence[Point], path: Path) -> None:
    """Draw points of the leaderboard into a PNG at ``path``."""
    from matplotlib import pyplot

    from ..runs.ranking import ranking

    order = [name for name, _ in ranking([p for p in points if p["stream"] == "hard"])]
    families: dict[str, list[str]] = {}
    for name in order:
        kind = next(str(p["family"]) for p in points if p["compressor"] == name)
        families.setdefault(kind, []).append(name)
    names = [name for kind in sorted(families, key=_first) for name in families[kind]]
    with house_style():
        figure, (left, right) = pyplot.subplots(
            1, 2, figsize=(11, 1.6 + 0.27 * len(names)), layout="constrained", sharey=True,
            gridspec_kw={"width_ratios": (1.25, 1)},
        )  # fmt: skip
        _errors(left, names, points)
        _overheads(right, names, points)
        _rules(left, right, families, names)
        handles, labels = right.get_legend_handles_labels()
        legend_below(figure, handles, labels, columns=3, caption=_caption(points))
        save(figure, path)


def _caption(points: Sequence[Point]) -> str:
    counts = " or ".join(str(n) for n in sorted({int(p["messages"]) for p in points}))
    return (
        f"{len(points)} points, {counts} independent messages each; n = {points[0]['n']}, "
        f"d = {points[0]['d']}. Bars: anytime-valid 95 % intervals over messages."
    )


def _first(kind: str) -> int:
    kinds = ("control", "baseline", "paper", "eviction", "pattern", "quantisation", "low rank",
             "sketch")  # fmt: skip
    return kinds.index(kind)


def _errors(axes: Axes, names: Sequence[str], points: Sequence[Point]) -> None:
    from ..experiments.leaderboard.measure import AT, STREAMS
    from ..runs.ranking import error_at

    grid = np.full((len(names), len(STREAMS)), np.nan)
    for r, name in enumerate(names):
        for c, stream in enumerate(STREAMS):
            here = [p for p in points if p["compressor"] == name and p["stream"] == stream]
            best = error_at(here, AT)
            if best is not None:
                grid[r, c] = best["bit_error"]["estimate"]
                said = f"{grid[r, c]:.3f}".removeprefix("0") if grid[r, c] else "0"
                dark = grid[r, c] > 0.3
                axes.text(c, r, said, ha="center", va="center", fontsize=8.5,
                          color="white" if dark else INK)  # fmt: skip
            else:
                axes.text(c, r, "·", ha="center", va="center", color=FAINT)
    axes.imshow(grid, cmap="cividis_r", vmin=0, vmax=WORST, aspect="auto", alpha=0.92)
    axes.set_xticks(range(len(STREAMS)), [_HEADS[name] for name in STREAMS], fontsize=8.8)
    axes.set_yticks(range(len(names)), names, fontsize=8.8)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlabel("family of streams")
    axes.set_ylabel("algorithm, by overhead within its family")
    axes.set_title(
        f"bit error within {AT} of the 16-bit cache\n(dot: no setting so small, or not played)"
    )


def _overheads(axes: Axes, names: Sequence[str], points: Sequence[Point]) -> None:
    from ..reductions.bounds import binary_entropy
    from ..runs.ranking import ranking

    best = dict(ranking([p for p in points if p["stream"] == "hard"]))
    for r, name in enumerate(names):
        point = best[name]
        rate = float(point["bits_per_secret_bit"])
        spread = []
        for end in ("low", "estimate", "high"):
            error = min(float(point["bit_error"][end]), 0.5)
            share = 1 - float(binary_entropy(error))
            spread.append(rate / share if share > 1e-4 else math.inf)
        low, middle, high = spread
        if not middle < EDGE:
            said = f"{middle:.2g} →" if math.isfinite(middle) else "nothing recovered"
            axes.text(EDGE * 0.9, r, said, fontsize=7.8, va="center", ha="right")
            continue
        axes.plot([low, min(high, EDGE)], [r, r], color=FAINT, lw=1.2, zorder=2)
        axes.plot([middle], [r], "o", color=COLOURS[0], ms=5, zorder=3)
        axes.text(middle * 1.25, r - 0.02, f"{middle:.3g}", fontsize=7.8, va="center", color=INK)
    n, d = int(points[0]["n"]), int(points[0]["d"])
    floors = (
        (1.0, "values only", COLOURS[1], "-"),
        ((2 * d - math.log2(n)) / d, "keys and values, 1 bit", COLOURS[2], "--"),
        (32.0, "16-bit numbers in use", COLOURS[3], ":"),
    )
    for at, label, colour, style in floors:
        axes.axvline(at, color=colour, ls=style, lw=1.4, label=label, zorder=1)
    axes.set_xscale("log")
    axes.set_xlim(0.8, EDGE)
    axes.set_xlabel("charged bits per recovered secret bit, M / N(1 - h(e)), best setting",
                    fontsize=9.5)  # fmt: skip
    axes.set_title("overhead over the limit, hard stream")


def _rules(left: Axes, right: Axes, families: dict[str, list[str]], names: Sequence[str]) -> None:
    """A line between families, and their names at the right edge."""
    at = 0
    for kind in sorted(families, key=_first):
        for axes in (left, right):
            axes.axhline(at - 0.5, color=FAINT, lw=0.7)
        right.text(1.01, at - 0.4, kind, transform=right.get_yaxis_transform(), fontsize=8.6,
                   va="top", color=INK)  # fmt: skip
        at += len(families[kind])
    left.set_ylim(len(names) - 0.5, -0.5)
