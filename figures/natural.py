"""Natural text beside the hard instance, and a real model's heads beside what certificates assume.

Left, over memory as a share of the 16-bit cache: bit error on the hard instance (filled: literal,
hollow: rotated) and increase of next-token loss on natural text (nats a token, intervals over
texts), a line a compressor. Right, by layer: how far queries of natural text spread their scores
(nats), beside the logit ranges that certify n tokens; and how keys lie, beside the hard instance's
(dashed).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .style import COLOURS, FAINT, FORBIDDEN, INK, MARKERS, house_style, legend_below, save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: nats; the loss axis is linear below and logarithmic above
LINEAR = 0.1
_LAYERS = ("range_05", "range_50", "range_95", "range_max", "dimension", "addressed",
           "cosine_centred")  # fmt: skip
Style = Mapping[str, Any]


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    from ..experiments.kit.tables import read_table
    from ..experiments.natural.measure import GEOMETRY, HARD, LOSS, RANGES

    losses, hard, geometry, ranges = (
        read_table(folder, name) for name in (LOSS, HARD, GEOMETRY, RANGES)
    )
    draw(losses, hard, geometry, ranges, path)


def draw(
    losses: pd.DataFrame,
    hard: pd.DataFrame,
    geometry: pd.DataFrame,
    ranges: pd.DataFrame,
    path: Path,
) -> None:
    """Draw the four tables into a PNG at ``path``."""
    from matplotlib import pyplot

    from ..experiments.natural.claims import LEVEL

    names = list(dict.fromkeys(losses["compressor"]))
    styles = {name: style(index) for index, name in enumerate(names)}
    with house_style():
        figure, axes = pyplot.subplots(
            2, 2, figsize=(11, 8.6), layout="constrained", sharex="col",
            gridspec_kw={"width_ratios": (1.2, 1)},
        )  # fmt: skip
        _hard(axes[0][0], hard, styles)
        _loss(axes[1][0], losses, styles)
        _ranges(axes[0][1], geometry, ranges)
        _keys(axes[1][1], geometry)
        handles, labels = axes[1][0].get_legend_handles_labels()
        texts = len(losses[["kind", "text"]].drop_duplicates())
        messages = int(hard["messages"].min())
        caption = (
            f"SmolLM2-135M-Instruct, {texts} texts of {losses['kind'].nunique()} kinds, "
            f"{LEVEL:.0%} intervals over texts; hard instance with n = {int(hard['n'].iloc[0])}, "
            f"d = {int(hard['d'].iloc[0])}, {messages} messages a point."
        )
        legend_below(figure, handles, labels, columns=7, caption=caption)
        save(figure, path)


def style(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of the index-th compressor; no two of the first 20 are alike."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "ls": "-" if index < len(COLOURS) else "--",
    }


def _hard(axes: Axes, hard: pd.DataFrame, styles: Mapping[str, Style]) -> None:
    for name, of in styles.items():
        own = hard[hard["compressor"] == name].sort_values("share")
        for basis, face in (("literal", of["color"]), ("rotated", "none")):
            one = own[own["basis"] == basis]
            axes.plot(one["share"], one["bit_error"], ms=6, lw=1.1, mfc=face, alpha=0.95,
                      **(of if basis == "literal" else {**of, "ls": ":"}))  # fmt: skip
    _pair(axes, hard[hard["basis"] == "literal"].set_index("setting"), "bit_error")
    axes.set_ylim(-0.02, 0.52)
    axes.set_ylabel("wrong bits / asked bits")
    axes.set_title("hard instance (filled: literal, hollow: rotated)")


def _loss(axes: Axes, losses: pd.DataFrame, styles: Mapping[str, Style]) -> None:
    from ..experiments.natural.claims import by_setting

    found = by_setting(losses, "increase").sort_values("share")
    for name, of in styles.items():
        one = found[found["compressor"] == name]
        reach = [one["mean"] - one["low"], one["high"] - one["mean"]]
        axes.errorbar(one["share"], one["mean"], yerr=reach, ms=6, lw=1.1, elinewidth=1, capsize=2,
                      label=name, **of)  # fmt: skip
    _pair(axes, found, "mean")
    axes.set_xscale("log", base=2)
    ticks = [2.0**k for k in range(-4, 2)]
    axes.set_xticks(ticks, ["1/16", "1/8", "1/4", "1/2", "1", "2"])
    axes.set_yscale("symlog", linthresh=LINEAR)
    ticks = [0, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(-LINEAR, max(6.0, 1.3 * found["mean"].max()))
    axes.set_xlabel("charged memory / 16-bit cache (log)")
    axes.set_ylabel("increase of next-token loss (nats a token)")
    axes.set_title("natural text")


def _pair(axes: Axes, rows: pd.DataFrame, column: str) -> None:
    """Name the two that change places."""
    from ..experiments.natural.claims import KEEPS_ALL, KEEPS_FEW

    for name, shift, side in ((KEEPS_FEW, (-9, 0), "right"), (KEEPS_ALL, (8, 9), "left")):
        at = (rows.loc[name, "share"], rows.loc[name, column])
        axes.plot(*at, "o", ms=13, mfc="none", color=INK, mew=1)
        axes.annotate(name.replace("bits=", "bits "), at, shift, textcoords="offset points",
                      fontsize=8.6, va="center", ha=side)  # fmt: skip


def _by_layer(geometry: pd.DataFrame) -> pd.DataFrame:
    natural = geometry[geometry["kind"] != "hard"]
    means: pd.DataFrame = natural.groupby("layer")[list(_LAYERS)].mean()
    return means


def _ranges(axes: Axes, geometry: pd.DataFrame, ranges: pd.DataFrame) -> None:
    layers = _by_layer(geometry)
    axes.fill_between(layers.index, layers["range_05"], layers["range_95"], color=FORBIDDEN,
                      label="5 % to 95 % of queries")  # fmt: skip
    axes.plot(layers.index, layers["range_50"], color=COLOURS[1], marker="o", ms=3, label="median")
    axes.plot(layers.index, layers["range_max"], color=COLOURS[0], marker="^", ms=3.5, lw=1,
              label="largest")  # fmt: skip
    for _, row in ranges.iterrows():
        axes.axhline(row["logit_range"], color=FAINT, ls="--", lw=1)
        axes.text(layers.index.max() + 0.8, row["logit_range"] + 0.2, f"n = {int(row['n']):,}",
                  fontsize=8, color=INK)  # fmt: skip
    axes.set_xlim(-1, 1.21 * layers.index.max())
    axes.set_ylim(0, None)
    axes.set_ylabel("largest less median score (nats)")
    axes.set_title("logit range of queries; dashed: certifies n tokens")
    axes.legend(loc="upper left", fontsize=8.4)


def _keys(axes: Axes, geometry: pd.DataFrame) -> None:
    layers = _by_layer(geometry)
    hard = geometry[geometry["kind"] == "hard"].iloc[0]
    # The hard instance's keys fill their dimension.
    full = float(hard["dimension"])
    shown = (
        ("addressed", 1.0, "tokens that a query along their key reads"),
        ("dimension", full, f"effective dimension / {full:.0f}"),
        ("cosine_centred", 1.0, "mean |cos| of two keys"),
    )
    for index, (column, unit, label) in enumerate(shown):
        colour = COLOURS[index]
        axes.plot(layers.index, layers[column] / unit, color=colour, marker=MARKERS[index], ms=3.5,
                  lw=1.1, label=label)  # fmt: skip
        axes.axhline(hard[column] / unit, color=colour, ls="--", lw=1.1)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("layer")
    axes.set_ylabel("share, or ratio")
    axes.set_title("keys less their mean; dashed: the hard instance's")
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.62), fontsize=8.4)
