"""The leaderboard: what stands behind a recovered secret bit at each algorithm's best setting.

Charged bits per recovered bit on the hard stream, M / N(1 - h(e)), with three floors: values only,
1; keys and values at one bit a number, n (2 d - log2 n) bits, since keys can carry secrets as well;
and the 16-bit numbers in use, 32 n d bits. What each loses on every family of streams is a picture
of its own, ``leaderboard_streams``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import leaderboard_streams
from .style import COLOURS, FAINT, INK, beside, caption_below, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = dict[str, Any]
MORE = ("leaderboard-streams",)
EDGE = 2e3
_KINDS = ("control", "baseline", "paper", "eviction", "pattern", "quantisation", "low rank",
          "sketch")  # fmt: skip


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder``."""
    from ..experiments.leaderboard.measure import POINTS

    points = POINTS.read(folder)
    families = by_family(points)
    draw(points, families, path)
    leaderboard_streams.draw(points, families, beside(path, "streams"))


def by_family(points: Sequence[Point]) -> dict[str, list[str]]:
    """The algorithms of each family, the one of least overhead first."""
    from ..runs.ranking import ranking

    families: dict[str, list[str]] = {}
    for name, best in ranking([p for p in points if p["stream"] == "hard"]):
        families.setdefault(str(best["family"]), []).append(name)
    return {kind: families[kind] for kind in sorted(families, key=_KINDS.index)}


def draw(points: Sequence[Point], families: dict[str, list[str]], path: Path) -> None:
    """Draw the overhead of every algorithm into ``path``."""
    names = [name for kind in families.values() for name in kind]
    title = "What a recovered bit costs on the hard stream: 1 is the limit"
    with page(path, title, height=2.2 + 0.25 * len(names)) as (figure, axes):
        _floors(axes, int(points[0]["n"]), int(points[0]["d"]))
        _overheads(axes, names, points)
        rules(axes, families)
        axes.set_yticks(range(len(names)), names, fontsize=9)
        axes.tick_params(length=0, axis="y")
        axes.set_ylabel("algorithm, by overhead within its family")
        axes.set_xlabel(
            "charged bits per recovered secret bit, M / N(1 − h(e)), best setting (log)"
        )
        caption_below(figure, caption(points))


def caption(points: Sequence[Point]) -> str:
    """How many points and messages stand behind a picture, and what its bars are."""
    counts = " or ".join(str(n) for n in sorted({int(p["messages"]) for p in points}))
    return (
        f"{len(points)} points on all streams, {counts} independent messages each; "
        f"n = {points[0]['n']}, d = {points[0]['d']}.\nBars: anytime-valid 95 % intervals over "
        "messages, cut at the edge."
    )


def _floors(axes: Axes, n: int, d: int) -> None:
    floors = (
        (1.0, "values\nonly", COLOURS[1], "-"),
        ((2 * d - math.log2(n)) / d, "keys and\nvalues, 1 bit", COLOURS[2], "--"),
        (32.0, "16-bit\nnumbers", "#a0527f", ":"),
    )
    for at, label, colour, style in floors:
        axes.axvline(at, color=colour, ls=style, lw=1.5, zorder=1)
        left = at == 1.0
        axes.annotate(label, (at, 1.0), (-3 if left else 3, 3), textcoords="offset points",
                      xycoords=axes.get_xaxis_transform(), ha="right" if left else "left",
                      fontsize=9, color=colour)  # fmt: skip


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
        said = f"{middle:,.3g}" if middle < 1e3 else f"{middle:,.0f}"
        axes.text(
            1.015,
            r,
            said if math.isfinite(middle) else "recovers nothing",
            transform=axes.get_yaxis_transform(),
            fontsize=9,
            va="center",
            color=INK,
        )
        if low < EDGE:
            axes.plot([low, min(high, EDGE)], [r, r], color=FAINT, lw=1.6, zorder=2)
        if middle < EDGE:
            axes.plot([middle], [r], "o", color=COLOURS[0], ms=6, zorder=3)
        elif math.isfinite(middle):
            axes.plot([EDGE * 0.94], [r], ">", color=COLOURS[0], ms=6, zorder=3)
    axes.set_xscale("log")
    axes.set_xlim(0.55, EDGE)
    ticks = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def rules(axes: Axes, families: dict[str, list[str]]) -> None:
    """A line between families, and their names above their first algorithm."""
    at = 0
    for kind, members in families.items():
        axes.axhline(at - 0.5, color=FAINT, lw=0.8)
        axes.text(0.625, at - 0.42, kind, transform=axes.get_yaxis_transform(), va="top",
                  fontsize=9, style="italic", color="#666666")  # fmt: skip
        at += len(members)
    axes.set_ylim(at - 0.5, -0.5)
