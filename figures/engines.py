"""The referee's table as a picture: what each cache declares, keeps and sends, and what it loses.

Left: the memories of every setting, as shares of the 16-bit K and V cache, on the literal stream.
Right: the bit error by asking, on the literal and on the rotated stream, and by reading the
message; bars are intervals over messages, the dashed line what guessing reaches. A setting that was
fed token by token as well has a second line where that changed something.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compressors.engines.schemes import SCHEMES
from .style import COLOURS, FAINT, INK, house_style, legend_below, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..experiments.engines.findings import Setting

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
_GAP = 0.22
_EDGE = 0.56


def picture(folder: Path, path: Path) -> None:
    """Draw the experiment's tables in ``folder`` as a PNG."""
    from ..experiments.engines.findings import settings

    found = [one for one in settings(folder) if one.lines and one.main["shown"]]
    plain = {(one.target, str(one.params)): one for one in found if one.feed == "prefill"}
    draw([one for one in found if not _same(one, plain.get((one.target, str(one.params))))], path)


def draw(settings: Sequence[Setting], path: Path) -> None:
    """Draw settings of the table, in the order of their engines, into a PNG at ``path``."""
    from matplotlib import pyplot

    with house_style():
        figure, (left, right) = pyplot.subplots(
            1, 2, figsize=(11, 1.9 + 0.185 * len(settings)), layout="constrained", sharey=True,
            gridspec_kw={"width_ratios": (1.2, 1)},
        )  # fmt: skip
        _memories(left, settings)
        _errors(right, settings)
        _rules(left, right, settings)
        left.set_yticks(range(len(settings)), [label(one) for one in settings], fontsize=8.2)
        left.set_ylabel("setting")
        handles, labels = (
            a + b
            for a, b in zip(
                left.get_legend_handles_labels(), right.get_legend_handles_labels(), strict=True
            )
        )
        legend_below(figure, handles, labels, columns=7, caption=_caption(settings))
        save(figure, path)


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


def _same(one: Setting, prefilled: Setting | None) -> bool:
    """Whether feeding token by token changed nothing that the picture could show."""
    from ..compressors.engines.findings import APART

    if one.feed == "prefill" or prefilled is None:
        return False
    pairs = [(one.main[name], prefilled.main[name]) for name in ("wire", "resident")]
    pairs += [(one.error(b, "asks"), prefilled.error(b, "asks")) for b in ("literal", "rotated")]
    return all(a is None or b is None or abs(a - b) <= APART for a, b in pairs)


def _caption(settings: Sequence[Setting]) -> str:
    lines = [line for one in settings for line in one.lines.values()]
    counts = " or ".join(str(n) for n in sorted({int(line["messages"]) for line in lines}))
    return (
        f"{len(lines)} lines, {counts} independent messages each; n = {int(lines[0]['n'])}, "
        f"d = {int(lines[0]['d'])}, Kerdock keys. Bars: anytime-valid 95 % intervals over "
        "messages, cut at the edge."
    )


def _memories(axes: Axes, settings: Sequence[Setting]) -> None:
    rows = np.arange(len(settings))
    for column, said, marker, colour in _MEMORIES:
        values = np.array([one.main[column] for one in settings], dtype=float)
        size = 9 if marker == "|" else 5
        fill = "none" if marker == "s" else colour
        axes.plot(values, rows, marker, color=colour, label=said, ms=size, mfc=fill, mew=1.3,
                  ls="none")  # fmt: skip
    axes.set_xscale("log", base=2)
    ticks = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4]
    axes.set_xticks(ticks, ["1/16", "1/8", "1/4", "1/2", "1", "2", "4"])
    axes.minorticks_off()
    axes.set_xlim(1 / 34, 5)
    axes.axvline(1, color=FAINT, lw=1)
    axes.set_xlabel("memory, as a share of the 16-bit cache")
    axes.set_title("what it declares, keeps and sends")


def _errors(axes: Axes, settings: Sequence[Setting]) -> None:
    for place, (basis, bob, said, marker, colour) in enumerate(_BOBS):
        found = [(r, one.lines.get((basis, bob))) for r, one in enumerate(settings)]
        lines = [(r + _GAP * (place - 1), line) for r, line in found if line is not None]
        rows = [r for r, _ in lines]
        ends = [[line[end] for _, line in lines] for end in ("low", "high")]
        axes.hlines(rows, ends[0], np.minimum(ends[1], _EDGE), color=colour, lw=0.7, alpha=0.25)
        axes.plot([line["bit_error"] for _, line in lines], rows, marker, color=colour, label=said,
                  ms=4, ls="none")  # fmt: skip
    axes.axvline(0.5, color=FAINT, lw=1, ls="--")
    axes.set_xlim(-0.012, _EDGE)
    axes.set_xlabel("bit error: wrong bits over asked bits")
    axes.set_title("what is lost")


def _rules(left: Axes, right: Axes, settings: Sequence[Setting]) -> None:
    """A line between engines, and their names at the right edge."""
    schemes = [one.target.partition(":")[0] for one in settings]
    for scheme in dict.fromkeys(schemes):
        at = schemes.index(scheme)
        for axes in (left, right):
            axes.axhline(at - 0.5, color=FAINT, lw=0.7)
        right.text(1.01, at - 0.3, SCHEMES[scheme].title, transform=right.get_yaxis_transform(),
                   fontsize=8.6, va="top", color=INK)  # fmt: skip
    for axes in (left, right):
        axes.set_ylim(len(settings) - 0.4, -0.6)
        axes.tick_params(length=0, axis="y")
