"""Bounds that can be used: logit range, constructions, models of published shapes, bits a number.

Above left: the least logit range C max|k|^2 (nats) for n tokens in d dimensions at eta = 1/2, a
line a dimension; markers are whole constructions. Above right: the largest compression of a 16-bit
cache that is not excluded, by guarantee: values only, and keys and values at one bit a number.
Below: ``bounds_precision``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .bounds_precision import draw_law, draw_rms, draw_wrong
from .style import COLOURS, FAINT, INK, MARKERS, house_style, legend_below, save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CONTEXT = 131072
#: constructions in 64 dimensions that are named, and how far off their names stand (points)
_NAMED = {"kerdock": (-118, 26), "delsarte-goethals": (-158, 22), "rm2": (8, -14)}


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    from ..experiments.bounds.measure import MODELS, RANGE, SETS
    from ..experiments.bounds.precision import CACHES, FLOORS, LAW
    from ..experiments.kit.tables import read_table

    names = (RANGE, SETS, MODELS, LAW, FLOORS, CACHES)
    draw({name: read_table(folder, name) for name in names}, path)


def draw(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Draw the tables, by file name, into a PNG at ``path``."""
    from matplotlib import pyplot

    from ..experiments.bounds.measure import MODELS, RANGE, SETS
    from ..experiments.bounds.precision import CACHES, FLOORS, LAW

    sets, floors, caches = tables[SETS], tables[FLOORS], tables[CACHES]
    with house_style():
        figure = pyplot.figure(figsize=(11, 10), layout="constrained")
        (above,), (below,) = figure.subfigures(
            2, 1, squeeze=False, height_ratios=(1.3, 1), hspace=0.03
        )
        left, right = above.subplots(1, 2, gridspec_kw={"width_ratios": (1.15, 1)})
        law, rms, wrong = below.subplots(1, 3)
        _ranges(left, tables[RANGE], sets)
        _models(right, tables[MODELS])
        draw_law(law, tables[LAW])
        draw_rms(rms, floors, caches)
        draw_wrong(wrong, floors, caches)
        named = [axes.get_legend_handles_labels() for axes in (left, right, law, rms, wrong)]
        handles = [handle for found, _ in named for handle in found]
        labels = [label for _, found in named for label in found]
        caption = (
            f"Above: exact spectra, eta = 1/2, one bit a number; {int(sets['rows'].sum())} sampled "
            f"rows of {len(sets)} constructions measured on float32 keys.\nDotted: no unit keys "
            "certify more at that range. Below: arithmetic; open marks on the left are [0, 1] "
            "rounded to so many bits.\nFilled marks: min-max caches in "
            f"the game (n = {caches['n'].iloc[0]}, d = {caches['d'].iloc[0]}), charged for K and "
            "V; their lines reach to V alone."
        )
        legend_below(figure, handles, labels, columns=4, caption=caption)
        save(figure, path)


def _ranges(axes: Axes, ranges: pd.DataFrame, sets: pd.DataFrame) -> None:
    for index, (d, group) in enumerate(ranges.groupby("d")):
        group = group.sort_values("n")
        axes.plot(group["logit_range"], group["n"] * d, color=COLOURS[index], marker=MARKERS[index],
                  ms=3.5, lw=1.2, label=f"d = {d}")  # fmt: skip
        axes.plot(group["least"], group["n"] * d, color=COLOURS[index], lw=0.9, ls=":")
    axes.plot(sets["logit_range"], sets["certified_bits"], "*", color=INK, mfc="white", ms=9,
              ls="none", label="whole constructions")  # fmt: skip
    for _, row in sets[sets["d"] == 64].iterrows():
        if row["keys"] in _NAMED:
            axes.annotate(
                f"{row['keys']}, n = {row['n']:,}", (row["logit_range"], row["certified_bits"]),
                _NAMED[row["keys"]], textcoords="offset points", fontsize=7.8, color=INK,
                arrowprops={"arrowstyle": "-", "color": FAINT, "lw": 0.8, "shrinkB": 4},
            )  # fmt: skip
    axes.set_yscale("log", base=2)
    axes.set_xlim(0, 28)
    axes.set_xlabel("logit range C max|k|² (nats)")
    axes.set_ylabel("certified secret bits n·d (log)")
    axes.set_title("what a query norm buys")
    axes.text(
        0.98, 0.03, "the paper's lemma certifies fewer\nthan 4 tokens up to d = 128",
        transform=axes.transAxes, ha="right", fontsize=8.4, color=FAINT,
    )  # fmt: skip


def _models(axes: Axes, models: pd.DataFrame) -> None:
    rows = models[models["context"] == CONTEXT]
    names = list(dict.fromkeys(rows["model"]))
    levels = sorted(rows["success"].unique())
    for index, success in enumerate(levels):
        own = rows[rows["success"] == success].set_index("model").loc[names]
        at = [i + 0.26 * (index - 1) for i in range(len(names))]
        colour = COLOURS[index]
        text = "no error" if success == 1 else f"success {success:g}"
        axes.plot(own["compression"], at, "o", mfc="none", color=colour, ms=6,
                  label=f"values only, {text}")  # fmt: skip
        axes.plot(own["compression_kv"], at, "s", color=colour, ms=5,
                  label=f"keys and values, {text}")  # fmt: skip
        for x, y in zip(own["compression_kv"], at, strict=True):
            axes.text(x * 0.93, y, f"{x:.0f}x", fontsize=7.6, va="center", ha="right", color=INK)
    axes.axvline(28, color=FAINT, ls=":", lw=1.2)
    axes.text(27.4, -0.42, "28x", color=FAINT, fontsize=8.5, ha="right")
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(10, 90)
    axes.set_xticks([10, 16, 20, 32, 60], ["10x", "16x", "20x", "32x", "60x"])
    axes.minorticks_off()
    axes.set_ylabel("model")
    axes.set_xlabel("largest compression of a bf16 cache not excluded")
    axes.set_title(f"models at {CONTEXT:,} tokens of context")
