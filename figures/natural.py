"""Natural text beside the hard instance: the same caches, asked two different questions.

Above, over memory as a share of the 16-bit cache: bit error on the hard instance (filled: literal,
hollow: rotated). Below: increase of a real model's next-token loss on natural text (nats a token,
intervals over texts). Two settings change places; they are ringed. How the model's own heads lie to
what certificates assume is a picture of its own, ``natural_heads``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import natural_heads
from .labels import Name, name_series, text_in
from .style import COLOURS, INK, MARKERS, beside, caption_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MORE = ("natural-heads",)
LINEAR = 0.1
"""Nats; the loss axis is linear below and logarithmic above."""
_NEAR_SHARE, _NEAR_ERROR = 0.005, 0.005
Style = Mapping[str, Any]


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder``."""
    from ..experiments.kit.tables import read_table
    from ..experiments.natural.measure import GEOMETRY, HARD, LOSS, RANGES

    draw(read_table(folder, LOSS), read_table(folder, HARD), path)
    geometry, ranges = read_table(folder, GEOMETRY), read_table(folder, RANGES)
    natural_heads.draw(geometry, ranges, beside(path, "heads"))


def draw(losses: pd.DataFrame, hard: pd.DataFrame, path: Path) -> None:
    """Draw the losses and the hard instance into ``path``."""
    from ..experiments.natural.claims import LEVEL, by_setting

    names = list(dict.fromkeys(losses["compressor"]))
    styles = {name: style(index) for index, name in enumerate(names)}
    found = by_setting(losses, "increase").sort_values("share")
    title = "The same caches on the hard instance and on natural text"
    with page(path, title, 2, 1, height=8.4, sharex=True) as (figure, (above, below)):
        _hard(above, hard, styles)
        _loss(below, found, styles)
        texts = len(losses[["kind", "text"]].drop_duplicates())
        caption_below(
            figure,
            f"Above: n = {int(hard['n'].iloc[0])}, d = {int(hard['d'].iloc[0])}, "
            f"{int(hard['messages'].min())} independent messages a point, which differ by less "
            f"than the marks.\nBelow: SmolLM2-135M-Instruct on {texts} texts of "
            f"{losses['kind'].nunique()} kinds; bars: {LEVEL:.0%} intervals over texts (Student). "
            "Ringed: the two that change places.",
        )
        literal = hard[hard["basis"] == "literal"].set_index("setting")
        name_series(figure, above, _names(literal, "bit_error", styles))
        name_series(figure, below, _names(found, "mean", styles))


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
        for basis, face in (("literal", of["color"]), ("rotated", "white")):
            one = own[own["basis"] == basis]
            axes.plot(one["share"], one["bit_error"], ms=7, lw=1.1, mfc=face, alpha=0.95,
                      **(of if basis == "literal" else {**of, "ls": ":"}))  # fmt: skip
    _ring(axes, hard[hard["basis"] == "literal"].set_index("setting"), "bit_error")
    axes.axhline(0.5, color="#666666", lw=1, ls=":")
    axes.text(1.95, 0.505, "guessing", fontsize=9, ha="right", va="bottom", color="#666666")
    axes.set_ylim(-0.03, 0.56)
    axes.set_ylabel("wrong bits / asked bits")
    axes.set_title(
        "hard instance: what a memory can hold (filled: literal; hollow, dotted: rotated)"
    )


def _loss(axes: Axes, found: pd.DataFrame, styles: Mapping[str, Style]) -> None:
    for name, of in styles.items():
        one = found[found["compressor"] == name]
        reach = [one["mean"] - one["low"], one["high"] - one["mean"]]
        axes.errorbar(one["share"], one["mean"], yerr=reach, ms=7, lw=1.1, elinewidth=1.2,
                      capsize=2.5, **of)  # fmt: skip
    _ring(axes, found, "mean")
    axes.axhline(0, color="#666666", lw=1, ls=":")
    axes.set_xscale("log", base=2)
    least = min(0.088, 0.9 * found["share"].min())
    shares = {2.0**k: f"1/{2**-k}" if k < 0 else str(2**k) for k in range(-4, 2) if 2.0**k > least}
    axes.set_xticks(list(shares), list(shares.values()))
    axes.set_xlim(least, 2.3)
    axes.set_yscale("symlog", linthresh=LINEAR)
    ticks = [0, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(-0.5 * LINEAR, max(6.0, 1.3 * found["mean"].max()))
    axes.set_xlabel("charged memory / 16-bit cache (log)")
    axes.set_ylabel("increase of next-token loss\n(nats a token, log above 0.1)")
    axes.set_title("natural text: what these texts needed")


def _ring(axes: Axes, rows: pd.DataFrame, column: str) -> None:
    """Mark the two that change places."""
    from ..experiments.natural.claims import KEEPS_ALL, KEEPS_FEW

    for name in (KEEPS_FEW, KEEPS_ALL):
        axes.plot(rows.loc[name, "share"], rows.loc[name, column], "o", ms=15, mfc="none",
                  color=INK, mew=1.1)  # fmt: skip


def _names(rows: pd.DataFrame, column: str, styles: Mapping[str, Style]) -> Sequence[Name]:
    """A name for each setting; those that lie on one another share a line of text."""
    groups: list[list[str]] = []
    for setting, row in rows.iterrows():
        for group in groups:
            first = rows.loc[group[0]]
            if (abs(first["share"] - row["share"]) < _NEAR_SHARE
                    and abs(first[column] - row[column]) < _NEAR_ERROR):  # fmt: skip
                group.append(str(setting))
                break
        else:
            groups.append([str(setting)])
    found = []
    for group in groups:
        first = rows.loc[group[0]]
        colour = INK if len(group) > 1 else text_in(styles[first["compressor"]]["color"])
        text = ", ".join(one.replace("=", " ") for one in group)
        found.append(Name(text, colour, [(float(first["share"]), float(first[column]))]))
    return found
