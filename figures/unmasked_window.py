"""The unmasked window: what the attack reads, what samples cost, and what one sum costs.

Left: bit error against memory on the window. Middle: the relative error of Algorithm 1 against the
number of its samples, beside the running sum's. Right: numbers held for error eps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..experiments.kit.played import Played
from ..experiments.kit.tables import read_table
from ..experiments.unmasked_window.claims import law, points
from ..experiments.unmasked_window.measure import ATTACK
from ..experiments.unmasked_window.ordinary_streams import BOOSTED, MEDIAN, PLAIN, SAMPLES, SUM
from ..reductions.median_of_means import copies_of_plain_mean, copies_per_mean, means_in_median
from .error_panel import curve, fano_limit
from .style import COLOURS, FAINT, INK, MARKERS, house_style, legend_below, save, sheet

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ORDER = ("exact", "running-sum", "sliding-window", "algorithm-1", "lossless", "zero")
COLOUR = dict(zip(ORDER, COLOURS, strict=False))
MARKER = dict(zip(ORDER, MARKERS, strict=False))
LEFT_EDGE = 0.3
DELTA = 0.1


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    samples, sums, boosted = (read_table(folder, name) for name in (SAMPLES, SUM, BOOSTED))
    draw(Played(ATTACK, points).read(folder), samples, sums, boosted, path)


def draw(
    played: Sequence[dict[str, Any]],
    samples: pd.DataFrame,
    sums: pd.DataFrame,
    boosted: pd.DataFrame,
    path: Path,
) -> None:
    """Draw the attack's points and the three tables of ``experiments.unmasked_window.measure``."""
    with house_style():
        figure, axes = sheet(1, 3, figsize=(9.4, 6.0), gridspec_kw={"width_ratios": [5, 4, 4]})
        _attack(axes[0], played)
        _law(axes[1], samples, sums)
        _numbers(axes[2], boosted)
        handles, labels = [], []
        for letter, panel in zip("abc", axes, strict=True):
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
                handles.append(handle)
                labels.append(f"{letter}: {label}")
        legend_below(figure, handles, labels, columns=3, caption=_caption(played, samples, boosted))
        figure.suptitle(
            "The unmasked sliding window: the window costs memory, one sum answers for the rest",
            x=0.01, ha="left", fontsize=12.5,
        )  # fmt: skip
        save(figure, path)


def _attack(axes: Axes, played: Sequence[dict[str, Any]]) -> None:
    fano_limit(axes, LEFT_EDGE)
    for index, name in enumerate(ORDER):
        curve(axes, index, name, [p for p in played if p["compressor"] == name], LEFT_EDGE)
    first = played[0]
    rows = int(first["secret_bits"]) // int(first["messages"]) // int(first["d"])
    shares = np.linspace(0.02, 1, 99)
    # 32 d bits of fp16 a kept token, of which d are secret; Bob's token takes one more place.
    axes.plot(32 * (shares + 1 / rows), (1 - shares) / 2, color=INK, ls="--", lw=1.0, zorder=1,
              label="window cut to a share f: (1 − f)/2")  # fmt: skip
    axes.axhline(0.1, color=FAINT, lw=0.8, ls=":")
    axes.text(0.98, 0.205, "guarantee: 1/10", fontsize=8.6, color=FAINT, ha="right",
              transform=axes.transAxes)  # fmt: skip
    for point in played:
        if point["compressor"] == "algorithm-1":
            axes.annotate(f"{point['params']['copies']}", textcoords="offset points", fontsize=8.6,
                          xy=(float(point["bits_per_secret_bit"]), point["bit_error"]["estimate"]),
                          xytext=(6, 4), color=COLOUR["algorithm-1"])  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xlim(LEFT_EDGE, 2.4 * max(float(p["bits_per_secret_bit"]) for p in played))
    axes.set_ylim(-0.015, 0.62)
    _ticks(axes, [1, 4, 16, 64, 256])
    axes.set_xlabel("memory M/N: charged bits\nper secret bit (log scale)")
    axes.set_ylabel("bit error")
    axes.set_title(f"a  attack: n = {first['n']}, d = {first['d']}, W = {rows + 1}", fontsize=10.5)


def _ticks(axes: Axes, values: list[float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _law(axes: Axes, samples: pd.DataFrame, sums: pd.DataFrame) -> None:
    slope, low, high = law(samples)
    pooled = samples.groupby("samples")["rms"].apply(lambda rms: float(np.sqrt((rms**2).mean())))
    sizes = pooled.index.to_numpy(dtype=float)
    line = pooled.iloc[0] * np.sqrt(sizes[0] / sizes)
    axes.plot(sizes, line, color=INK, ls="--", lw=1.1, label="slope −1/2")
    by_size = samples.groupby("samples")["rms"]
    axes.errorbar(sizes, pooled, yerr=[pooled - by_size.min(), by_size.max() - pooled],
                  color=COLOUR["algorithm-1"], marker=MARKER["algorithm-1"], mfc="none", mew=1.4,
                  lw=0, elinewidth=1.0, capsize=2, label="algorithm-1")  # fmt: skip
    level = float(sums["relative_error"].max())
    axes.axhline(level, color=COLOUR["running-sum"], lw=1.8, label="running sum")
    axes.set_xscale("log", base=4)
    axes.set_yscale("log")
    _ticks(axes, [1, 16, 256, 4096])
    axes.set_xlabel("samples (log scale)")
    axes.set_ylabel("relative error (log scale)")
    axes.set_title("b  what samples cost", fontsize=10.5)
    fitted = f"fitted slope {slope:.3f}\n99 %: [{low:.3f}, {high:.3f}]".replace("-", "−")
    axes.text(0.04, 0.55, fitted, transform=axes.transAxes, fontsize=8.6, color=INK)  # fmt: skip
    axes.text(0.96, 0.075, "float32 rounding of the answer", transform=axes.transAxes,
              fontsize=8.6, color=COLOUR["running-sum"], ha="right")  # fmt: skip


def _numbers(axes: Axes, boosted: pd.DataFrame) -> None:
    d, window = int(boosted["d"].iloc[0]), int(boosted["window_numbers"].iloc[0])
    shown = boosted[boosted["delta"] == DELTA]
    wide = np.geomspace(0.06, 0.6, 65)
    for kappa, style in zip(sorted(shown["kappa"].unique()), ("-", "--", ":"), strict=False):
        for method, colour, marker in (
            (MEDIAN, COLOUR["algorithm-1"], MARKER["algorithm-1"]),
            (PLAIN, COLOURS[6], "P"),
        ):
            rows = shown[(shown["method"] == method) & (shown["kappa"] == kappa)]
            name = "Theorem 25, reconstructed" if method == MEDIAN else "plain mean (ours)"
            copies = [_copies(method, float(eps), float(kappa), d) for eps in wide]
            axes.plot(wide, window + d * np.array(copies), color=colour, ls=style, lw=1.1,
                      label=f"{name}, κ = {kappa:g}")  # fmt: skip
            axes.plot(rows["eps"], rows["numbers"], color=colour, marker=marker, mfc="white",
                      mew=1.3, lw=0, ms=6)  # fmt: skip
    axes.axhline(window + d, color=COLOUR["running-sum"], lw=1.8, label="running sum")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    _ticks(axes, [0.0625, 0.125, 0.25, 0.5])
    axes.set_xlabel("allowed error ε (log scale)")
    axes.set_ylabel("numbers held (log scale)")
    axes.text(0.04, 0.045, f"2Wd + d = {window + d:,}", transform=axes.transAxes, fontsize=8.6,
              color=COLOUR["running-sum"])  # fmt: skip
    axes.set_ylim(bottom=0.35 * window)
    axes.set_title(f"c  memory, W = {window // (2 * d)}, d = {d}", fontsize=10.5)


def _copies(method: str, eps: float, kappa: float, d: int) -> int:
    if method == PLAIN:
        return copies_of_plain_mean(eps, DELTA, kappa, d)
    return copies_per_mean(eps, kappa) * means_in_median(DELTA, d)


def _caption(played: Sequence[dict[str, Any]], samples: pd.DataFrame, boosted: pd.DataFrame) -> str:
    messages = min(int(p["messages"]) for p in played)
    level = 100 * float(played[0]["bit_error"]["level"])
    runs = int(samples["runs"].min()) * samples["group"].nunique()
    medians = boosted[boosted["method"] == MEDIAN]
    return (
        f"a: {messages} independent messages a point, anytime-valid {level:g} % intervals; the "
        "last W − 1 tokens hold the secret bits, all others are 0;\n"
        "running-sum at full size and cut, sliding-window (masks older tokens) cut; small numbers: "
        "samples of algorithm-1.\n"
        f"b: root mean square error of a mean of samples, {runs} independent runs a size; "
        f"bars: range over {samples['group'].nunique()} groups of runs.\n"
        f"c: what stays within ε with probability {1 - DELTA:g}, values in [1, κ]. Marks: "
        f"measured, in {int(medians['failures'].sum())} of {int(medians['runs'].sum()):,} "
        "independent runs Theorem 25's\n"
        f"median left ε; {100 * float(boosted['level'].iloc[0]):g} % bound on the share, all "
        f"settings together: {float(medians['high'].max()):.3f}."
    )
