"""Bounds that can be used: tokens by logit range, constructions, and models of published shapes.

Left: the least logit range C max|k|^2 (nats) for n tokens in d dimensions at eta = 1/2, a line a
dimension; markers are whole constructions. Right: the largest compression of a 16-bit cache that is
not excluded, by guarantee: values only, and keys and values at one bit a number.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .style import COLOURS, FAINT, INK, MARKERS, house_style, legend_below, save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CONTEXT = 131072


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    from ..experiments.bounds import MODELS, RANGE, SETS
    from ..experiments.tables import read_table

    ranges, sets, models = (read_table(folder, name) for name in (RANGE, SETS, MODELS))
    draw(ranges, sets, models, path)


def draw(ranges: pd.DataFrame, sets: pd.DataFrame, models: pd.DataFrame, path: Path) -> None:
    """Draw the three tables into a PNG at ``path``."""
    from matplotlib import pyplot

    with house_style():
        figure, (left, right) = pyplot.subplots(
            1, 2, figsize=(11, 5.6), layout="constrained", gridspec_kw={"width_ratios": (1.15, 1)}
        )
        _ranges(left, ranges, sets)
        _models(right, models)
        handles, labels = [], []
        for axes in (left, right):
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.append(handle)
                labels.append(label)
        caption = (
            f"Arithmetic on exact spectra, eta = 1/2; {int(sets['rows'].sum())} sampled rows of "
            f"{len(sets)} constructions measured on float32 keys. One bit a number."
        )
        legend_below(figure, handles, labels, columns=4, caption=caption)
        save(figure, path)


def _ranges(axes: Axes, ranges: pd.DataFrame, sets: pd.DataFrame) -> None:
    for index, (d, group) in enumerate(ranges.groupby("d")):
        group = group.sort_values("n")
        axes.plot(group["logit_range"], group["n"] * d, color=COLOURS[index], marker=MARKERS[index],
                  ms=3.5, lw=1.2, label=f"d = {d}")  # fmt: skip
    axes.plot(sets["logit_range"], sets["certified_bits"], "*", color=INK, mfc="white", ms=9,
              ls="none", label="whole constructions")  # fmt: skip
    for _, row in sets.iterrows():
        if row["keys"] in ("kerdock", "delsarte-goethals", "rm2") and row["d"] == 64:
            axes.annotate(
                f"{row['keys']}\nn = {row['n']:,}", (row["logit_range"], row["certified_bits"]),
                (6, -16), textcoords="offset points", fontsize=7.8, color=INK,
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
