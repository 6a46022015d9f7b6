"""A real model's heads beside what certificates assume.

Left, by layer: how far queries of natural text spread their scores (nats), beside the logit ranges
that certify n tokens. Right: how keys lie, beside the hard instance's (dashed).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .labels import Name, name_series, text_in
from .style import COLOURS, FORBIDDEN, INK, MARKERS, caption_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LAYERS = ("range_05", "range_50", "range_95", "range_max", "dimension", "addressed",
           "cosine_centred")  # fmt: skip


def draw(geometry: pd.DataFrame, ranges: pd.DataFrame, path: Path) -> None:
    """Draw the geometry of the heads and the certified ranges into ``path``."""
    natural = geometry[geometry["kind"] != "hard"]
    title = "A real model's heads beside what certificates assume"
    with page(path, title, 1, 2, height=5.6) as (figure, (left, right)):
        ranged = _ranges(left, geometry, ranges)
        keyed = _keys(right, geometry)
        for axes in (left, right):
            axes.set_xlabel("layer")
        caption_below(
            figure,
            "SmolLM2-135M-Instruct on natural text, means over "
            f"{len(natural[['kind', 'text']].drop_duplicates())} texts. Left: dashed, the range "
            "that certifies n tokens; band, 5 to 95 % of queries.\nRight: keys less their mean; "
            "dashed, the hard instance's. Descriptions of these texts: no interval is claimed.",
        )
        name_series(figure, left, ranged)
        name_series(figure, right, keyed)


def _by_layer(geometry: pd.DataFrame) -> pd.DataFrame:
    natural = geometry[geometry["kind"] != "hard"]
    means: pd.DataFrame = natural.groupby("layer")[list(_LAYERS)].mean()
    return means


def _ranges(axes: Axes, geometry: pd.DataFrame, ranges: pd.DataFrame) -> list[Name]:
    layers = _by_layer(geometry)
    axes.fill_between(layers.index, layers["range_05"], layers["range_95"], color=FORBIDDEN)
    names = []
    for column, said, index in (("range_50", "median query", 1), ("range_max", "largest", 0)):
        axes.plot(layers.index, layers[column], color=COLOURS[index], marker=MARKERS[index], ms=3.5)
        names.append(Name(said, text_in(COLOURS[index]), _places(layers[column])))
    last = float(layers.index.max())
    for _, row in ranges.iterrows():
        axes.axhline(row["logit_range"], color="#666666", ls="--", lw=1)
        axes.annotate(f"n = {int(row['n']):,}", (last + 0.6, row["logit_range"]), (0, 2),
                      textcoords="offset points", fontsize=9, color=INK)  # fmt: skip
    axes.set_xlim(-1, 1.24 * last)
    axes.set_ylim(0, None)
    axes.set_ylabel("largest less median score (nats)")
    axes.set_title("logit range of queries")
    return names


def _keys(axes: Axes, geometry: pd.DataFrame) -> list[Name]:
    layers = _by_layer(geometry)
    hard = geometry[geometry["kind"] == "hard"].iloc[0]
    # The hard instance's keys fill their dimension.
    full = float(hard["dimension"])
    shown = (
        ("addressed", 1.0, "tokens that a query along\ntheir key reads"),
        ("dimension", full, f"effective dimension / {full:.0f}"),
        ("cosine_centred", 1.0, "mean |cos| of two keys"),
    )
    names = []
    for index, (column, unit, label) in enumerate(shown):
        colour = COLOURS[index]
        axes.plot(layers.index, layers[column] / unit, color=colour, marker=MARKERS[index], ms=3.5)
        axes.axhline(hard[column] / unit, color=colour, ls="--", lw=1.1)
        names.append(Name(label, text_in(colour), _places(layers[column] / unit)))
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("share, or ratio")
    axes.set_title("how keys lie")
    return names


def _places(line: pd.Series) -> list[tuple[float, float]]:
    return [(float(layer), float(value)) for layer, value in line.items()]
