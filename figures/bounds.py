"""What a query norm buys: certified secret bits against the logit range, a line a dimension.

The logit range is the least C max|k|^2 (nats) that certifies n tokens in d dimensions at
eta = 1/2; dotted, the least of any unit keys; stars are whole constructions, computed and played.
The other pictures of the experiment answer one question each and stand in modules of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import bounds_distortion, bounds_models, bounds_precision
from .labels import Name, name_ends, name_series, text_in
from .style import COLOURS, INK, MARKERS, beside, caption_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MORE = ("bounds-models", "bounds-precision", "bounds-distortion")
RIGHT = 28.0
"""Nats; lines are drawn as far, and their names stand behind."""


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder``."""
    from ..experiments.bounds.measure import MODELS, RANGE, SETS
    from ..experiments.bounds.precision import CACHES, FLOORS, LAW
    from ..experiments.kit.tables import read_table

    draw(read_table(folder, RANGE), read_table(folder, SETS), path)
    bounds_models.draw(read_table(folder, MODELS), beside(path, "models"))
    bounds_precision.draw(read_table(folder, LAW), beside(path, "precision"))
    floors, caches = read_table(folder, FLOORS), read_table(folder, CACHES)
    bounds_distortion.draw(floors, caches, beside(path, "distortion"))


def draw(ranges: pd.DataFrame, sets: pd.DataFrame, path: Path) -> None:
    """Draw the tables of ranges and of constructions into ``path``."""
    with page(path, height=6.2) as (figure, axes):
        names = _ranges(axes, ranges)
        stars = axes.plot(sets["logit_range"], sets["certified_bits"], "*", color=INK, mfc="white",
                          ms=11, ls="none", zorder=4)[0]  # fmt: skip
        axes.set_yscale("log", base=2)
        axes.set_xlim(0, RIGHT + 2.6)
        axes.set_xlabel("logit range C max|k|² (nats)")
        axes.set_ylabel("certified secret bits n·d (log)")
        axes.set_title("What a query norm buys: the bits that a cache must keep, by head dimension")
        caption_below(figure, _caption(sets))
        name_ends(figure, axes, names)
        places = zip(*stars.get_data(), strict=True)
        named = [
            Name(f"{row['keys']}, d = {row['d']}, n = {row['n']:,}", INK, [at])
            for at, (_, row) in zip(places, sets.iterrows(), strict=True)
        ]
        name_series(figure, axes, named, size=8.6)


def _ranges(axes: Axes, ranges: pd.DataFrame) -> list[Name]:
    """A line a dimension, as far as ``RIGHT``; return their names."""
    names = []
    for index, (d, group) in enumerate(ranges.groupby("d")):
        group, colour = group.sort_values("n"), COLOURS[index]
        found = _cut(group["logit_range"].to_numpy(), (group["n"] * d).to_numpy())
        least = _cut(group["least"].to_numpy(), (group["n"] * d).to_numpy())
        axes.plot(*found, color=colour, marker=MARKERS[index], ms=4, lw=1.4)
        axes.plot(*least, color=colour, lw=1, ls=":")
        names.append(Name(f"d = {d}", text_in(colour), [(found[0][-1], found[1][-1])]))
    return names


def _cut(x: Any, bits: Any) -> tuple[Any, Any]:
    """A curve as far as ``RIGHT``, where the last stretch is cut on the logarithmic axis."""
    inside = x <= RIGHT
    if inside.all():
        return x, bits
    end = 2.0 ** np.interp(RIGHT, x, np.log2(bits))
    return np.append(x[inside], RIGHT), np.append(bits[inside], end)


def _caption(sets: pd.DataFrame) -> str:
    return (
        "Lines and stars: exact spectra, η = 1/2, one bit a number; dotted: no unit keys certify "
        f"as many bits at a smaller range.\nStars: {len(sets)} whole constructions, of which "
        f"{int(sets['rows'].sum())} sampled rows were measured on float32 keys. No sampling of "
        "messages,\nso no intervals. The paper's lemma certifies fewer than 4 tokens up to d = 128."
    )
