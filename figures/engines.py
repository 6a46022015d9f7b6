"""Declared against sent: the caches of engines that differ most from what they say.

A line a target, from the memory that its setting declares to the bytes of its message, as shares
of the 16-bit K and V cache; of several settings of a target the one that differs most. All rows,
with what is lost, are in the referee's table (docs/engines-table.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compressors.engines.schemes import SCHEMES
from .style import COLOURS, INK, legend_below, page, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..experiments.engines.findings import Setting

MOST = 20
_TICKS = {1 / 16: "1/16", 1 / 8: "1/8", 1 / 4: "1/4", 1 / 2: "1/2", 1: "1", 2: "2", 4: "4", 8: "8",
          16: "16"}  # fmt: skip


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder``."""
    from ..experiments.engines.findings import settings

    draw(settings(folder), path)


def draw(settings: Sequence[Setting], path: Path) -> None:
    """Draw the ``MOST`` targets of the table that differ most into ``path``."""
    found = [one for one in settings if one.lines and _factor(one) > 0]
    shown = worst(found)
    title = "Declared, and sent: the settings of engines that differ most"
    with page(path, title, height=2.0 + 0.285 * len(shown)) as (figure, axes):
        _rows(axes, shown)
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(_TICKS), list(_TICKS.values()))
        axes.minorticks_off()
        axes.set_xlim(1 / 24, 1.5 * max(4.0, *(float(one.main["wire"]) for one in shown)))
        axes.axvline(1, color="#666666", lw=1)
        axes.text(0.97, -0.95, "16-bit cache", ha="right", va="center", fontsize=9, color="#666666")
        axes.set_yticks(range(len(shown)), [plain(label(one), 42) for one in shown], fontsize=9.5)
        axes.tick_params(length=0, axis="y")
        axes.set_ylim(len(shown) - 0.4, -1.5)
        axes.set_xlabel("memory, as a share of the 16-bit K and V cache (log)")
        axes.set_ylabel("setting")
        legend_below(figure, [axes], columns=3, caption=_caption(shown, found))


def worst(settings: Sequence[Setting]) -> list[Setting]:
    """The settings that send most for what they declare, one a target, the worst first."""
    of_target: dict[tuple[str, str], Setting] = {}
    for one in sorted(settings, key=_factor, reverse=True):
        press = str(one.params.get("press", one.params.get("backend", "")))
        of_target.setdefault((one.target, press), one)
    return list(of_target.values())[:MOST]


def _factor(one: Setting) -> float:
    """Bytes sent for a byte declared; 0 where nothing is declared."""
    declared, wire = float(one.main["declared"]), float(one.main["wire"])
    return wire / declared if declared > 0 and wire > 0 else 0.0


def label(one: Setting) -> str:
    """A setting's short name: its thing, the values of its parameters, how it was fed.

    >>> from ..experiments.engines.findings import Setting
    >>> label(Setting("hf:quantized", {"axis": 0, "nbits": 2}, "stream", "hqq", ""))
    'quantized 2, streamed'
    >>> label(Setting("codec:a.b.remex:Vectors", {"bits": 2}, "prefill", "remex", ""))
    'remex 2'
    """
    scheme, _, thing = one.target.partition(":")
    name = one.distribution if ":" in thing else thing
    if scheme == "codec" and name == "turboquant-pro":
        name = f"{name} {thing.rpartition(':')[2]}"
    said = {k: v for k, v in one.params.items() if k not in _UNSAID}
    values = [_value(name, value) for name, value in said.items()]
    return " ".join([name, *values]) + (", streamed" if one.feed == "stream" else "")


def _value(name: str, value: Any) -> str:
    named = isinstance(value, bool) or name in ("window", "sinks", "v")
    return f"{name}={value}" if named else str(value)


#: parameters that every row of a target has alike
_UNSAID = ("axis", "skip_layers", "residual_len", "residual_length", "sliding_window_size",
           "threshold", "compression_interval", "target_size")  # fmt: skip


def _rows(axes: Axes, shown: Sequence[Setting]) -> None:
    declared = [float(one.main["declared"]) for one in shown]
    sent = [float(one.main["wire"]) for one in shown]
    rows = range(len(shown))
    axes.hlines(rows, declared, sent, color=COLOURS[1], lw=2, alpha=0.45)
    axes.plot(declared, rows, "|", color=INK, ms=11, mew=2, ls="none", label="declared")
    axes.plot(
        sent, rows, "o", color=COLOURS[1], ms=6, ls="none", label="sent: bytes of the message"
    )
    for row, one in enumerate(shown):
        factor = _factor(one)
        said = f"{factor:.0f}×" if factor >= 9.95 else f"{factor:.1f}×"
        axes.annotate(said, (sent[row], row), (8, 0), textcoords="offset points", va="center",
                      fontsize=9, color=INK)  # fmt: skip


def _caption(shown: Sequence[Setting], found: Sequence[Setting]) -> str:
    engines = dict.fromkeys(SCHEMES[one.target.partition(":")[0]].title for one in shown)
    line = shown[0].main
    messages = max(int(one.main["messages"]) for one in shown)
    return (
        f"The worst setting of each of {len(shown)} targets ({', '.join(engines)}), out of "
        f"{len(found)} settings that declare a memory.\nThe largest of {messages} messages, "
        f"n = {int(line['n'])}, d = {int(line['d'])}, Kerdock keys: bytes are counted, so no "
        "interval is due. All rows: docs/engines-table.md."
    )
