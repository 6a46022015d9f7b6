"""What every algorithm loses on every family of streams, within a quarter of the 16-bit cache.

A row an algorithm, a column a family of streams: the least bit error of the settings that fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .style import FAINT, INK, caption_below, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WORST = 0.5
SHADES = ("#ffffff", "#d3e6f3", "#8fbfdd", "#3c8dbf", "#0b4f7d")
"""From no wrong bit to guessing: lightness falls all the way, so hues need not be told apart."""
_HEADS = {
    "hard": "hard",
    "turned": "hard,\nturned",
    "decoy": "hard,\ndecoy",
    "heavy-hitters": "heavy\nhitters",
    "clusters": "clusters",
    "recency": "recency",
}


def draw(points: Sequence[dict[str, Any]], families: dict[str, list[str]], path: Path) -> None:
    """Draw the least errors into ``path``."""
    from ..experiments.leaderboard.measure import AT, STREAMS

    names = [name for kind in families.values() for name in kind]
    title = f"Bit error within {AT} of the 16-bit cache, by family of streams"
    with page(path, title, height=2.2 + 0.25 * len(names)) as (figure, axes):
        _cells(axes, names, points)
        at = 0
        for kind, members in families.items():
            axes.axhline(at - 0.5, color=FAINT, lw=0.8)
            axes.annotate(kind, (1.0, at), (8, 0), textcoords="offset points", va="center",
                          xycoords=axes.get_yaxis_transform(), fontsize=9, style="italic",
                          color="#666666")  # fmt: skip
            at += len(members)
        axes.set_xticks(range(len(STREAMS)), [_HEADS[name] for name in STREAMS], fontsize=9.5)
        axes.set_yticks(range(len(names)), names, fontsize=9)
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.set_xlabel("family of streams")
        axes.set_ylabel("algorithm, by overhead within its family")
        caption_below(figure, _caption(points))


def _cells(axes: Axes, names: Sequence[str], points: Sequence[dict[str, Any]]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    from ..experiments.leaderboard.measure import AT, STREAMS
    from ..runs.ranking import error_at

    grid = np.full((len(names), len(STREAMS)), np.nan)
    for r, name in enumerate(names):
        for c, stream in enumerate(STREAMS):
            here = [p for p in points if p["compressor"] == name and p["stream"] == stream]
            best = error_at(here, AT)
            if best is None:
                axes.text(c, r, "–", ha="center", va="center", color="#666666", fontsize=9)
                continue
            grid[r, c] = error = best["bit_error"]["estimate"]
            said = f"{error:.3f}".removeprefix("0") if error else "0"
            axes.text(c, r, said, ha="center", va="center", fontsize=9,
                      color="white" if error > 0.3 else INK)  # fmt: skip
    shades = LinearSegmentedColormap.from_list("wrong", SHADES)
    axes.imshow(grid, cmap=shades, vmin=0, vmax=WORST, aspect="auto")


def _caption(points: Sequence[dict[str, Any]]) -> str:
    counts = " or ".join(str(n) for n in sorted({int(p["messages"]) for p in points}))
    return (
        "Wrong bits over asked bits at the best setting that fits; 0: no bit is wrong; 1/2 is "
        "guessing; –: no setting so small, or not played.\n"
        f"{counts} independent messages a point, n = {points[0]['n']}, d = {points[0]['d']}; the "
        "95 % intervals are on the algorithms' pages."
    )
