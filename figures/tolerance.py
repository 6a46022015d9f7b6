"""The tolerance: flipped bits around the exact scale, and the errors of compressors beside theirs.

Left: the adversary of ``reductions.adversary``. Right: one point a compressor setting, its largest
relative error over the tolerance against its bit error. Nothing may lie in the shaded region.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..experiments.kit.tables import read_table
from ..experiments.tolerance.measure import COMPRESSORS, WORST
from .style import COLOURS, FAINT, FORBIDDEN, INK, LIMIT, MARKERS, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: condition -> (words, the tolerance drawn at left)
CONDITIONS = {
    "M01": ("{0,1}, within 1 ± η", 0.5),
    "M+-": ("{−1,+1}, within 1 ± η", 0.5),
    "A01": ("{0,1}, within ± γ", 0.1),
    "A+-": ("{−1,+1}, within ± γ", 0.1),
}
#: marker sizes: curves lie on one another
SIZES = (7.0, 4.0, 4.0, 3.5)
FAMILIES = {
    "exact": "exact, fp32 to fp8", "quantized": "quantized, 8 to 1 bits",
    "sliding-window": "sliding window", "streaming-llm": "StreamingLLM", "reservoir": "reservoir",
    "top-k": "top-k of a full cache", "lossless": "lossless", "zero": "always 0",
}  # fmt: skip


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    draw(read_table(folder, WORST), read_table(folder, COMPRESSORS), path)


def draw(worst: pd.DataFrame, compressors: pd.DataFrame, path: Path) -> None:
    """Draw the tables ``tolerance-worst`` and ``tolerance-compressors`` as a PNG."""

    title = "Answers within the tolerance give Bob every bit; below the exact scale they need not"
    ratios = {"width_ratios": [1.0, 1.35]}
    with page(path, title, 2, 2, height=7.4, title_size=12, gridspec_kw=ratios) as (figure, axes):
        (flips, upper), (scales, lower) = axes
        scatter = figure.add_subplot(upper.get_gridspec()[:, 1])
        upper.remove()
        lower.remove()
        _flips(flips, worst)
        _scales(scales, worst)
        _scatter(scatter, compressors)
        caption = _caption(worst, compressors)
        legend_below(figure, (flips, scatter), columns=3, caption=caption)


def _caption(worst: pd.DataFrame, compressors: pd.DataFrame) -> str:
    n, messages = int(worst["n"].max()), int(compressors["messages"].min())
    draws = int(worst.loc[worst["keys"] == "jl", "seed"].nunique())
    return (
        f"Left (float64): both bits of each of n = {n} tokens, on its worst stream and with the "
        f"worst allowed answer; {draws} independent draws of jl keys,\nd = 64 (upper: mean and "
        "range; lower: a line a draw). Dashed: hypercube and kerdock keys, whose tokens are all "
        f"alike. Right (float32): {len(compressors)} settings\n"
        f"(η = .1, .5, .9 with values {{0,1}}, η = .9 with signs), {messages} independent messages "
        "each, all bits asked. It speaks of the answers given, so no interval is due."
    )


def _flips(axes: Axes, worst: pd.DataFrame) -> None:
    for index, (name, (words, tolerance)) in enumerate(CONDITIONS.items()):
        rows = worst[(worst["condition"] == name) & (worst["tolerance"] == tolerance)]
        share = (rows["flips"] / rows["bits"]).groupby([rows["keys"], rows["ratio"]])
        jl = share.agg(["min", "mean", "max"]).loc["jl"]
        symbol = "η" if name.startswith("M") else "γ"
        axes.fill_between(jl.index, jl["min"], jl["max"], color=COLOURS[index], alpha=0.2, lw=0)
        axes.plot(jl.index, jl["mean"], color=COLOURS[index], marker=MARKERS[index], mfc="none",
                  ms=SIZES[index], lw=1.2,
                  label=f"{words} ({symbol} = {tolerance:g} in the upper)")  # fmt: skip
    alike = worst[(worst["keys"] != "jl") & (worst["condition"] == "M01")]
    steps = (alike["flips"] / alike["bits"]).groupby(alike["ratio"]).mean()
    axes.plot(steps.index, steps, color=FAINT, ls="--", lw=1.2, label="hypercube, kerdock keys")
    axes.axvline(1.0, color=INK, lw=1.0, ls=":")
    below = worst[(worst["ratio"] == worst.loc[worst["ratio"] < 1.0, "ratio"].max())]
    at = worst[worst["ratio"] == 1.0]
    axes.text(1.008, 0.5, f"at 1 − 10⁻⁶: flips in {int((below['flips'] > 0).sum())} of\n"
              f"{len(below)} instances; at 1: in {int((at['flips'] > 0).sum())}", fontsize=8.6,
              color=INK)  # fmt: skip
    axes.set_xlabel("scale C / exact scale")
    axes.set_ylabel("share of bits flipped")
    axes.set_title("worst case around the exact scale")


def _scales(axes: Axes, worst: pd.DataFrame) -> None:
    jl = worst[worst["keys"] == "jl"]
    for index, name in enumerate(CONDITIONS):
        rows = jl[(jl["condition"] == name) & (jl["ratio"] == 1.0)]
        for _, one in rows.sort_values("tolerance").groupby("seed"):
            axes.plot(one["tolerance"], one["exact_scale"], color=COLOURS[index], mfc="none",
                      marker=MARKERS[index], ms=SIZES[index], lw=0.9)  # fmt: skip
    axes.set_xlabel("tolerance η, or γ")
    axes.set_ylabel("exact scale C (nats)")
    axes.set_title("for signs, η does not matter")


def _scatter(axes: Axes, compressors: pd.DataFrame) -> None:
    ratio = compressors["largest"] / compressors["eta"]
    left, right = float(ratio.min()) / 2.5, float(ratio.max()) * 2.5
    axes.fill_between([left, 1.0], 0.012, 0.56, color=FORBIDDEN, lw=0, zorder=0)
    axes.axvline(1.0, color=LIMIT, lw=1.4)
    axes.text(left * 1.8, 0.3, "impossible (Theorem 8,\nat the tight scale):\nall answers within η"
              "\nand a wrong bit", color=LIMIT, fontsize=9)  # fmt: skip
    for index, (family, words) in enumerate(FAMILIES.items()):
        rows = compressors[compressors["compressor"] == family]
        if rows.empty:
            continue
        axes.plot(ratio[rows.index], rows["bit_error"], color=COLOURS[index + 2], ls="none",
                  marker=MARKERS[index], mfc="none", mew=1.3, ms=7, label=words)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(-0.02, 0.56)
    axes.set_xlabel("largest relative error of its answers, over η (log scale)")
    axes.set_ylabel("bit error: wrong bits / asked bits")
    axes.set_title("compressors of the catalog: no point left of 1 errs")
