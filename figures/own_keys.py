"""A real model's own keys: what they certify by layer, and how the bound grows with precision.

Left, by layer: the share of tokens certified at eta = 1/2, a line a kind of text; solid at the
median norm of the queries, dashed at the 90 % norm. Right: bits a number against the additive error
gamma; lines are layers of the model (mean over texts) at the median norm and explicit keys at given
norms (dotted), the grey line is what suffices with public keys, log2 ceil(1/(2 gamma)); points are
caches of 2 to 16 bits at the error of nine answers in ten (all of their memory over the values).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .style import COLOURS, FAINT, INK, MARKERS, house_style, legend_below, save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: layers whose lines are drawn, the first two apart from the rest
LAYERS = (0, 1, 5, 15, 25)


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    from ..experiments.kit.tables import read_table
    from ..experiments.own_keys.measure import POINTS, PRECISION, TOKENS

    tokens, precision, points = (read_table(folder, name) for name in (TOKENS, PRECISION, POINTS))
    draw(tokens, precision, points, path)


def draw(tokens: pd.DataFrame, precision: pd.DataFrame, points: pd.DataFrame, path: Path) -> None:
    """Draw the three tables into a PNG at ``path``."""
    from matplotlib import pyplot

    with house_style():
        figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.9), layout="constrained")
        _shares(axes[0], tokens)
        _precision(axes[1], precision, points)
        handles, labels = (
            [one for panel in axes for one in panel.get_legend_handles_labels()[part]]
            for part in (0, 1)
        )
        texts = len(tokens[["kind", "text"]].drop_duplicates())
        caption = (
            f"SmolLM2-135M-Instruct, {texts} texts of {tokens['kind'].nunique()} kinds, "
            f"{int(tokens['n'].iloc[0])} tokens each. The bound speaks of all values and of all "
            "queries of the norm, not of the text's own."
        )
        legend_below(figure, handles, labels, columns=6, caption=caption)
        save(figure, path)


def _shares(axes: Axes, tokens: pd.DataFrame) -> None:
    from ..experiments.own_keys.claims import FROM, SHARE, shares

    for quantile, dashes in (("p50", "-"), ("p90", "--")):
        found = shares(tokens, quantile)
        for number, kind in enumerate(found.columns):
            axes.plot(
                found.index, found[kind], dashes, color=COLOURS[number], lw=1.4,
                marker=MARKERS[number] if quantile == "p50" else None, ms=4,
                label=kind if quantile == "p50" else None,
            )  # fmt: skip
    axes.plot([FROM, found.index.max()], [SHARE, SHARE], color=FAINT, lw=1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("layer")
    axes.set_ylabel("certified tokens / tokens")
    axes.set_title("own keys, η = 1/2 (solid: median norm, dashed: 90 %)")


def _precision(axes: Axes, precision: pd.DataFrame, points: pd.DataFrame) -> None:
    natural = precision[precision["kind"] != "explicit"]
    means = natural.groupby(["layer", "gamma"])["bits"].mean().unstack("gamma")
    for number, layer in enumerate(one for one in LAYERS if one in means.index):
        axes.plot(
            means.columns, means.loc[layer], color=COLOURS[number + 4], label=f"layer {layer}"
        )
    explicit = precision[precision["kind"] == "explicit"]
    for number, (norm, one) in enumerate(explicit.groupby("norm")):
        axes.plot(one["gamma"], one["bits"], ":", color=INK, marker=MARKERS[number], ms=4,
                  label=f"explicit keys, norm {norm:g}")  # fmt: skip
    most = precision.drop_duplicates("gamma").sort_values("gamma")
    axes.plot(most["gamma"], most["most"], color=FAINT, lw=3, alpha=0.5, label="suffices")
    for number, (name, one) in enumerate(points.groupby("setting", sort=False)):
        axes.plot(one["gamma"], one["bits_a_number"], ls="", marker=MARKERS[number + 4], ms=6,
                  mfc="none", color=COLOURS[number], label=name)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1)
    axes.invert_xaxis()
    axes.set_ylim(0, 50)
    axes.set_yticks([0, 1, 2, 4, 8, 16, 32], ["0", "1", "2", "4", "8", "16", "32"])
    axes.set_xlabel("additive error γ (log)")
    axes.set_ylabel("bits a number")
    axes.set_title("own keys, bits against precision")
