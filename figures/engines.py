"""The referee's table as a picture: what each cache says of its memory, keeps, sends, and loses.

Left: the four memories of every setting, as shares of the 16-bit K and V cache, on the literal
stream. Right: the bit error by asking, on the literal and on the rotated stream, and by reading the
message; bars are intervals over messages, the dashed line what guessing reaches.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .style import COLOURS, FAINT, INK, house_style, legend_below, save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_MEMORIES = (
    ("declared", "declared", "|", INK),
    ("resident", "resident", "s", COLOURS[4]),
    ("logical", "logical", "o", COLOURS[0]),
    ("wire", "wire: the message", "x", COLOURS[1]),
)
_BOBS = (
    ("literal", "asks", "asking, literal", "o", COLOURS[0]),
    ("rotated", "asks", "asking, rotated", "D", COLOURS[1]),
    ("literal", "reads", "reading the message", "x", COLOURS[2]),
)
_GAP = 0.24


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    from ..experiments.engine_claims import played

    draw(played(folder), path)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw the played lines of the table into a PNG at ``path``."""
    from matplotlib import pyplot

    names = list(dict.fromkeys(_names(table)))
    table = table.assign(name=_names(table))
    with house_style():
        figure, (left, right) = pyplot.subplots(
            1, 2, figsize=(11, 1.8 + 0.21 * len(names)), layout="constrained", sharey=True,
        )  # fmt: skip
        _memories(left, names, table)
        _errors(right, names, table)
        for axes in (left, right):
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.tick_params(length=0, axis="y")
        left.set_yticks(range(len(names)), names, fontsize=7.6)
        handles, labels = (
            a + b
            for a, b in zip(
                left.get_legend_handles_labels(), right.get_legend_handles_labels(), strict=True
            )
        )
        legend_below(figure, handles, labels, columns=4, caption=_caption(table))
        save(figure, path)


def label(line: Any) -> str:
    """One setting's name: its target and parameters, and how it was fed if token by token.

    >>> label({"target": "hf:quantized", "params": '{"nbits": 2}', "feed": "stream"})
    'hf:quantized nbits=2, streamed'
    """
    params = " ".join(f"{k}={v}" for k, v in json.loads(line["params"]).items())
    target = line["target"].replace("codec:kvbarrier.compressors.engines.codecs.", "codec:")
    fed = ", streamed" if line["feed"] == "stream" else ""
    return f"{target} {params}".rstrip() + fed


def _names(table: pd.DataFrame) -> list[str]:
    return [label(line) for line in table.to_dict("records")]


def _caption(table: pd.DataFrame) -> str:
    counts = " or ".join(str(int(n)) for n in sorted(table["messages"].unique()))
    return (
        f"{len(table)} lines, {counts} independent messages each; n = {int(table['n'].iloc[0])}, "
        f"d = {int(table['d'].iloc[0])}, Kerdock keys. Bars: anytime-valid 95 % intervals over "
        "messages."
    )


def _memories(axes: Axes, names: list[str], table: pd.DataFrame) -> None:
    asked = table[(table["basis"] == "literal") & (table["bob"] == "asks")]
    asked = asked.drop_duplicates("name").set_index("name").reindex(names)
    rows = np.arange(len(names))
    for column, said, marker, colour in _MEMORIES:
        size = 9 if marker == "|" else 4.5
        hollow = "none" if marker == "s" else colour
        axes.plot(asked[column], rows, marker, color=colour, label=said, ms=size, mfc=hollow,
                  mew=1.4, ls="none")  # fmt: skip
    axes.axvline(1, color=FAINT, lw=1)
    axes.set_xscale("log", base=2)
    ticks = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2]
    axes.set_xticks(ticks, ["1/16", "1/8", "1/4", "1/2", "1", "2"])
    axes.minorticks_off()
    axes.set_xlabel("memory, as a share of the 16-bit K and V cache")
    axes.set_title("what it declares, keeps and sends")


def _errors(axes: Axes, names: list[str], table: pd.DataFrame) -> None:
    for place, (basis, bob, said, marker, colour) in enumerate(_BOBS):
        part = table[(table["basis"] == basis) & (table["bob"] == bob)]
        part = part.drop_duplicates("name").set_index("name").reindex(names)
        rows = np.arange(len(names)) + _GAP * (place - 1)
        axes.hlines(rows, part["low"], part["high"], color=colour, lw=0.8, alpha=0.6)
        axes.plot(part["bit_error"], rows, marker, color=colour, label=said, ms=4, ls="none")
    axes.axvline(0.5, color=FAINT, lw=1, ls="--")
    axes.set_xlim(-0.01, 0.62)
    axes.set_xlabel("bit error: wrong bits over asked bits")
    axes.set_title("what is lost")
