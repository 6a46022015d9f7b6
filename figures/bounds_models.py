"""How far the cache of a model can be compressed: what the bound does not exclude, by guarantee.

For models of published shapes, the largest compression of their 16-bit cache that is not excluded:
where values alone carry secrets, and where keys do as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .style import COLOURS, INK, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CONTEXT = 131072
PUBLISHED = 28
"""The compression that the paper's discussion names."""


def draw(models: pd.DataFrame, path: Path) -> None:
    """Draw the table of models into ``path``."""
    rows = models[models["context"] == CONTEXT]
    names = list(dict.fromkeys(rows["model"]))
    with page(path, height=1.9 + 0.72 * len(names)) as (figure, axes):
        for index, success in enumerate(sorted(rows["success"].unique(), reverse=True)):
            own = rows[rows["success"] == success].set_index("model").loc[names]
            _guarantee(axes, own, index, float(success))
        axes.axvline(PUBLISHED, color="#666666", ls=":", lw=1.2)
        axes.text(
            PUBLISHED * 1.01, -0.62, f"{PUBLISHED}×", color="#666666", fontsize=9, va="center"
        )
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(names) - 0.5, -0.8)
        axes.set_xscale("log")
        axes.set_xlim(13, 78)
        axes.set_xticks([16, 20, 24, 32, 40, 60], [f"{x}×" for x in (16, 20, 24, 32, 40, 60)])
        axes.minorticks_off()
        axes.set_ylabel("model")
        axes.set_xlabel(f"compression of the bf16 cache at {CONTEXT:,} tokens (log)")
        axes.set_title("The largest compression that is not excluded, by what answers must promise")
        caption = (
            "To the right of its mark a compression is excluded. Arithmetic on the bound, η = 1/2: "
            "no sampling, so no intervals.\nSuccess: the chance with which each answer must be "
            "right; keys and values: keys carry secrets too."
        )
        legend_below(figure, [axes], columns=3, caption=caption)


def _guarantee(axes: Axes, own: pd.DataFrame, index: int, success: float) -> None:
    at = [place + 0.25 * (index - 1) for place in range(len(own))]
    said = "every answer right" if success == 1 else f"success {success:g}"
    colour = COLOURS[index]
    axes.hlines(at, own["compression_kv"], own["compression"], color=colour, lw=1, alpha=0.6)
    axes.plot(own["compression"], at, "o", mfc="white", color=colour, ms=6.5,
              label=f"values only, {said}")  # fmt: skip
    axes.plot(own["compression_kv"], at, "s", color=colour, ms=5.5,
              label=f"keys and values, {said}")  # fmt: skip
    for least, most, place in zip(own["compression_kv"], own["compression"], at, strict=True):
        axes.annotate(f"{least:.0f}", (least, place), (-8, 0), textcoords="offset points",
                      ha="right", va="center", fontsize=9, color=INK)  # fmt: skip
        axes.annotate(f"{most:.0f}", (most, place), (8, 0), textcoords="offset points",
                      va="center", fontsize=9, color=INK)  # fmt: skip
