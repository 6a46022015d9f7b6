"""The unmasked window: what must be kept of it, and what answers for the rest.

One picture: bit error against memory on the window. The other, left: the relative error of
Algorithm 1 against the number of its samples, beside the running sum's; right: numbers held for
error eps.
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
from ..reductions.bounds import fano_rate
from ..reductions.median_of_means import copies_of_plain_mean, copies_per_mean, means_in_median
from .error_panel import curve, fano_limit
from .labels import Name, name_series, text_in
from .style import COLOURS, FAINT, INK, LIMIT, MARKERS, beside, caption_below, legend_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MORE = ("unmasked-window-sum",)
ORDER = ("exact", "running-sum", "sliding-window", "algorithm-1", "lossless", "zero")
COLOUR = dict(zip(ORDER, COLOURS, strict=False))
MARKER = dict(zip(ORDER, MARKERS, strict=False))
LEFT_EDGE = 0.3
DELTA = 0.1


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder``."""
    samples, sums, boosted = (read_table(folder, name) for name in (SAMPLES, SUM, BOOSTED))
    draw_attack(Played(ATTACK, points).read(folder), path)
    draw_sums(samples, sums, boosted, beside(path, "sum"))


def draw_attack(played: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the attack's points into ``path``: what must be kept."""
    title = "The unmasked sliding window: the window costs memory"
    with page(path, title, height=6.0) as (figure, axes):
        names = _attack(axes, played)
        messages = min(int(p["messages"]) for p in played)
        level = 100 * float(played[0]["bit_error"]["level"])
        caption_below(
            figure,
            f"{messages} independent messages a point, anytime-valid {level:g} % intervals; the "
            "last W − 1 tokens hold the secret bits, all others are 0.\nrunning-sum at full size "
            "and cut, sliding-window (masks older tokens) cut; small numbers: samples of "
            "algorithm-1.",
        )
        name_series(figure, axes, names)


def draw_sums(samples: pd.DataFrame, sums: pd.DataFrame, boosted: pd.DataFrame, path: Path) -> None:
    """Draw what the tokens outside the window cost into ``path``: samples, or one sum."""
    title = "The unmasked sliding window: one sum answers for the rest"
    with page(path, title, 1, 2, height=6.2) as (figure, (left, right)):
        _law(left, samples, sums)
        _numbers(right, boosted)
        legend_below(figure, (left, right), columns=3, caption=_caption(samples, boosted))


def _attack(axes: Axes, played: Sequence[dict[str, Any]]) -> list[Name]:
    fano_limit(axes, LEFT_EDGE)
    names = []
    for index, name in enumerate(ORDER):
        own = [p for p in played if p["compressor"] == name]
        names.append(Name(name, text_in(COLOUR[name]), curve(axes, index, name, own, LEFT_EDGE)))
    first = played[0]
    rows = int(first["secret_bits"]) // int(first["messages"]) // int(first["d"])
    shares = np.linspace(0.02, 1, 99)
    # 32 d bits of fp16 a kept token, of which d are secret; Bob's token takes one more place.
    cut, errors = 32 * (shares + 1 / rows), (1 - shares) / 2
    axes.plot(cut, errors, color=INK, ls="--", lw=1.0, zorder=1)
    axes.axhline(0.1, color=FAINT, lw=0.8, ls=":")
    line = [(float(x), float(y)) for x, y in zip(cut, errors, strict=True)]
    guarantee = [(float(x), 0.1) for x in np.geomspace(80, 300, 6)]
    names += [
        Name("window cut to a share f: (1 − f)/2", INK, line[::4]),
        Name("guarantee: 1/10", "#666666", guarantee),
        Name("Fano's limit", LIMIT, [(fano_rate(e), e) for e in (0.05, 0.08, 0.11, 0.14, 0.17)]),
    ]
    for point in played:
        if point["compressor"] == "algorithm-1":
            axes.annotate(f"{point['params']['copies']}", textcoords="offset points", fontsize=8.6,
                          xy=(float(point["bits_per_secret_bit"]), point["bit_error"]["estimate"]),
                          xytext=(6, 4), color=COLOUR["algorithm-1"])  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xlim(LEFT_EDGE, 2.4 * max(float(p["bits_per_secret_bit"]) for p in played))
    axes.set_ylim(-0.015, 0.62)
    _ticks(axes, [1, 4, 16, 64, 256])
    axes.set_xlabel("memory M/N: charged bits per secret bit (log scale)")
    axes.set_ylabel("bit error: wrong bits / asked bits")
    axes.set_title(f"attack: n = {first['n']}, d = {first['d']}, W = {rows + 1}")
    return names


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
    axes.set_title("what samples cost")
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
    axes.set_title(f"memory, W = {window // (2 * d)}, d = {d}")


def _copies(method: str, eps: float, kappa: float, d: int) -> int:
    if method == PLAIN:
        return copies_of_plain_mean(eps, DELTA, kappa, d)
    return copies_per_mean(eps, kappa) * means_in_median(DELTA, d)


def _caption(samples: pd.DataFrame, boosted: pd.DataFrame) -> str:
    runs = int(samples["runs"].min()) * samples["group"].nunique()
    medians = boosted[boosted["method"] == MEDIAN]
    return (
        f"Left: root mean square error of a mean of samples, {runs} independent runs a size; "
        f"bars: range over {samples['group'].nunique()} groups of runs.\n"
        f"Right: what stays within ε with probability {1 - DELTA:g}, values in [1, κ]. Marks: "
        f"measured, in {int(medians['failures'].sum())} of {int(medians['runs'].sum()):,} "
        "independent runs Theorem 25's\n"
        f"median left ε; {100 * float(boosted['level'].iloc[0]):g} % bound on the share, all "
        f"settings together: {float(medians['high'].max()):.3f}."
    )
