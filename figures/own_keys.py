"""A real model's own keys: what they certify by layer, and how the bound grows with precision.

Left, by layer: the share of tokens certified at eta = 1/2, a line a kind of text; solid at the
median norm of the queries, dashed at the 90 % norm. Right: bits a number against the additive error
gamma; a line for the first layer of the model and a band for later ones (means over texts, at the
median norm), explicit keys at given norms (dotted), and what suffices with public keys,
log2 ceil(1/(2 gamma)); points are caches of 2 to 16 bits at the error of nine answers in ten (all
of their memory over the values).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .labels import Name, name_series, text_in
from .style import COLOURS, INK, MARKERS, caption_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LATER = (1, 5, 15, 25)
"""Layers of the band."""


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    from ..experiments.kit.tables import read_table
    from ..experiments.own_keys.measure import POINTS, PRECISION, TOKENS

    tokens, precision, points = (read_table(folder, name) for name in (TOKENS, PRECISION, POINTS))
    draw(tokens, precision, points, path)


def draw(tokens: pd.DataFrame, precision: pd.DataFrame, points: pd.DataFrame, path: Path) -> None:
    """Draw the three tables into a PNG at ``path``."""
    title = "What a real model's own keys certify"
    with page(path, title, 1, 2, height=5.4) as (figure, (left, right)):
        kinds = _shares(left, tokens)
        lines = _precision(right, precision, points)
        texts = len(tokens[["kind", "text"]].drop_duplicates())
        caption_below(
            figure,
            f"SmolLM2-135M-Instruct, {texts} texts of {tokens['kind'].nunique()} kinds, "
            f"{int(tokens['n'].iloc[0])} tokens each. The bound speaks of all values and of all "
            "queries of the norm,\nnot of the text's own. It is computed from the keys, so it has "
            f"no interval; marks on the right: {points['setting'].value_counts().max()} heads a "
            "cache.",
        )
        name_series(figure, left, kinds)
        name_series(figure, right, lines)


def _shares(axes: Axes, tokens: pd.DataFrame) -> list[Name]:
    from ..experiments.own_keys.claims import FROM, SHARE, shares

    names = []
    for quantile, dashes in (("p50", "-"), ("p90", "--")):
        found = shares(tokens, quantile)
        for number, kind in enumerate(found.columns):
            solid = quantile == "p50"
            axes.plot(found.index, found[kind], dashes, color=COLOURS[number], lw=1.3,
                      marker=MARKERS[number] if solid else None, ms=4)  # fmt: skip
            if solid:
                names.append(Name(str(kind), text_in(COLOURS[number]), _places(found[kind])[:9]))
    last = float(tokens["layer"].max())
    axes.plot([FROM, last], [SHARE, SHARE], color="#666666", lw=1, ls=":")
    claim = [(layer, SHARE) for layer in range(FROM + 4, int(last) - 8)]
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("layer")
    axes.set_ylabel("certified tokens / tokens")
    axes.set_title("η = 1/2 (solid: median norm of queries,\ndashed: 90 %)")
    return [*names, Name(f"claimed: {SHARE:.0%} from layer {FROM} on", "#666666", claim)]


def _precision(axes: Axes, precision: pd.DataFrame, points: pd.DataFrame) -> list[Name]:
    natural = precision[precision["kind"] != "explicit"]
    means = natural.groupby(["layer", "gamma"])["bits"].mean().unstack("gamma")
    first, later = means.loc[0], means.loc[[one for one in LATER if one in means.index]]
    axes.plot(first.index, first, color=COLOURS[4], marker="o", ms=4, label="layer 0")
    axes.fill_between(later.columns, later.min(), later.max(), color=COLOURS[5], alpha=0.45, lw=0)
    said = ", ".join(str(layer) for layer in later.index)
    names = [
        Name("layer 0", text_in(COLOURS[4]), _places(first)),
        Name(f"layers {said}", text_in(COLOURS[5]), _places(later.min())),
    ]
    explicit = precision[precision["kind"] == "explicit"]
    for number, (norm, one) in enumerate(explicit.groupby("norm")):
        axes.plot(one["gamma"], one["bits"], ":", color=INK, marker=MARKERS[number], ms=4)
        line = _places(one.set_index("gamma")["bits"])
        names.append(Name(f"explicit keys, norm {norm:g}", INK, line))
    most = precision.drop_duplicates("gamma").sort_values("gamma").set_index("gamma")["most"]
    axes.plot(most.index, most, color="#666666", lw=1)
    names.append(Name("suffices, with public keys", "#666666", _places(most)))
    for number, (name, one) in enumerate(points.groupby("setting", sort=False)):
        axes.plot(one["gamma"], one["bits_a_number"], ls="", marker=MARKERS[number], ms=6,
                  mfc="none", color=COLOURS[number])  # fmt: skip
        named = str(name).replace("=", " ")
        at = _places(one.set_index("gamma")["bits_a_number"])
        names.append(Name(named, text_in(COLOURS[number]), at))
    axes.set_xscale("log")
    axes.set_yscale("log", base=2)
    axes.invert_xaxis()
    axes.set_ylim(1 / 32, 64)
    axes.set_yticks([2.0**k for k in range(-4, 6, 2)], ["1/16", "1/4", "1", "4", "16"])
    axes.minorticks_off()
    axes.set_xlabel("additive error γ (log)")
    axes.set_ylabel("bits a number (log)")
    axes.set_title("bits against precision, bounds (lines)\nand caches as played (marks)")
    return names


def _places(line: pd.Series) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in line.items()]
