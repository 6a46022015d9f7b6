"""What a precision is worth: bits a number that a tolerance asks for.

A relative tolerance eta on values within a range, and an additive tolerance gamma on values in
[0, 1]: the binary logarithm of how many levels can be told apart (``reductions.bounds``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .labels import Name, name_ends, name_series, text_in
from .style import COLOURS, FAINT, INK, caption_below, page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FORMATS = {"fp8 e4m3": 2.0**-4, "bf16": 2.0**-9}
"""Half a step of the last place, relative."""
ROUNDED = {8: "s", 4: "D", 2: "^"}


def draw(law: pd.DataFrame, path: Path) -> None:
    """Draw the law into ``path``; the tolerance falls to the right."""
    with page(path, height=5.6) as (figure, axes):
        ends = _lines(axes, law.sort_values("tolerance", ascending=False))
        names = []
        for bits, marker in ROUNDED.items():
            at = (2.0 ** -(bits + 1), float(bits))
            axes.plot(*at, marker, color=INK, mfc="white", ms=7, zorder=4)
            names.append(Name(f"[0, 1] rounded to {bits} bits", INK, [at]))
        for name, half in FORMATS.items():
            axes.axvline(half, color=FAINT, ls=":", lw=1.2)
            names.append(Name(name, "#666666", [(half, y / 4) for y in range(1, 60)]))
        axes.set_xscale("log", base=2)
        axes.set_xlim(0.5, 2.0**-16)
        axes.set_ylim(0, None)
        axes.set_xlabel("error allowed, η or γ (share, log)")
        axes.set_ylabel("bits per number: log₂ of the levels told apart")
        axes.set_title("What a precision is worth: bits that a tolerance asks for")
        caption_below(
            figure,
            "±η: relative, values within a factor of so much; ±γ: additive, values in [0, 1]. "
            "Arithmetic, so no intervals.\nDotted: half a step of the last place of a format.",
        )
        name_ends(figure, axes, ends)
        name_series(figure, axes, names)


def _lines(axes: Axes, rows: pd.DataFrame) -> list[Name]:
    names = []
    for index, (wide, own) in enumerate(rows[rows["error"] == "relative"].groupby("value_range")):
        axes.plot(own["tolerance"], own["bits"], "--", color=COLOURS[index])
        names.append(Name(f"±η, values within {wide:,.0f}×", text_in(COLOURS[index]), _end(own)))
    own = rows[rows["error"] == "additive"]
    axes.plot(own["tolerance"], own["bits"], color=INK)
    return [*names, Name("±γ, values in [0, 1]", INK, _end(own))]


def _end(own: pd.DataFrame) -> list[tuple[float, float]]:
    return [(float(own["tolerance"].iloc[-1]), float(own["bits"].iloc[-1]))]
