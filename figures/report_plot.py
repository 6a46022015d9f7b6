"""Error against memory as inline SVG, for a page that is read at any width.

Every place is a percentage of the picture, so text and markers keep their size while the axes
stretch. Curves lie in a nested picture of 1000 by 1000 units that stretches with it, and a point is
there a dot on its curve: the page's script puts a marker with its interval in its place, from the
row of the page's table. Colours are classes, which the page's style gives a light and a dark value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ..reductions.bounds import error_floor, fano_rate, time_sharing_error
from ..runs.ranking import MEMORIES, bits_per_number
from .style import MARKERS, look

Point = dict[str, Any]

LEFT = 0.04
"""The left edge of the axis M/N; who sends less is drawn there."""
MANY = 60
"""Of more points an interval is drawn only of the one that is looked at."""

_SHAPES = {
    "o": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "s": "M-4-4h8v8h-8z",
    "^": "M0-5L5 4H-5z",
    "D": "M0-5.5L5.5 0L0 5.5L-5.5 0z",
    "v": "M0 5L5-4H-5z",
    "+": "M-5 0H5M0-5V5",
    "x": "M-4-4L4 4M-4 4L4-4",
    "<": "M-5 0L4-5V5z",
    ">": "M5 0L-4-5V5z",
    "h": "M-5 0L-2.5-4.5H2.5L5 0L2.5 4.5H-2.5z",
}


@dataclass(frozen=True)
class Mark:
    """A point in the picture and the number of its series."""

    series: int
    point: Point


def shapes() -> str:
    """The markers, once for all pictures of a page."""
    drawn = [f'<path id="m{MARKERS.index(name)}" d="{path}"/>' for name, path in _SHAPES.items()]
    return f'<svg class="defs" aria-hidden="true"><defs>{"".join(drawn)}</defs></svg>'


def key(series: int) -> str:
    """The marker of a series for its legend entry."""
    colour, marker = look(series)
    return (
        f'<svg class="key c{colour}" aria-hidden="true"><use href="#m{marker}" x="8" y="8"/></svg>'
    )


def plot(marks: Sequence[Mark], name: str) -> str:
    """The picture of points that were played on one family of streams; ``name`` says which."""
    axes = _Axes(marks)
    many = " many" if len(marks) > MANY else ""
    parts = [
        f'<svg class="plot{many}" role="group" aria-label="{escape(name)}" data-left="{LEFT}" '
        f'data-right="{axes.right:.6g}" data-top="{axes.top:.6g}">',
        axes.frame(),
        '<svg class="curves" viewBox="0 0 1000 1000" preserveAspectRatio="none" '
        'aria-hidden="true">',
        axes.limits(),
        *(axes.line(series, marks) for series in dict.fromkeys(mark.series for mark in marks)),
        "</svg>",
        axes.names(),
        "</svg>",
    ]
    return "".join(parts)


class _Axes:
    """Where a rate M/N and an error lie, in percent of the width and of the height."""

    def __init__(self, marks: Sequence[Mark]) -> None:
        rates = [float(mark.point["bits_per_secret_bit"]) for mark in marks]
        errors = [float(mark.point["bit_error"]["estimate"]) for mark in marks]
        self.right = max([40.0, *(1.3 * rate for rate in rates)])
        self.top = max([0.56, *(1.04 * error for error in errors)])
        per_rate = {
            round(bits_per_number(mark.point) / rate, 6)
            for mark, rate in zip(marks, rates, strict=True)
            if rate and mark.point["compression_ratio"]
        }
        # Bits a number for each M/N: one for all points, or there is no second axis.
        self.bits = per_rate.pop() if len(per_rate) == 1 else 0.0

    def x(self, rate: float) -> float:
        inside = min(max(rate, LEFT), self.right)
        return 100 * math.log(inside / LEFT) / math.log(self.right / LEFT)

    def y(self, error: float) -> float:
        return 100 * (1 - min(max(error, 0.0), self.top) / self.top)

    def limits(self) -> str:
        """Fano's curve with the region below it, and time sharing."""
        highest = error_floor(LEFT)
        errors = [highest * i / 64 for i in range(65)]
        fano = [(self.x(fano_rate(error)), self.y(error)) for error in errors]
        rates = [LEFT ** (1 - i / 64) for i in range(65)]
        sharing = [(self.x(rate), self.y(float(time_sharing_error(rate)))) for rate in rates]
        return (
            f'<polygon class="impossible" points="0,{10 * self.y(0):.1f} {_path(fano)}"/>'
            f'<polyline class="fano" points="{_path(fano)}"/>'
            f'<polyline class="sharing" points="{_path(sharing)}"/>'
        )

    def line(self, series: int, marks: Sequence[Mark]) -> str:
        """The points of a series as dots, joined in the order of their memory."""
        own = [mark.point for mark in marks if mark.series == series]
        places = sorted(
            (self.x(float(p["bits_per_secret_bit"])), self.y(float(p["bit_error"]["estimate"])))
            for p in own
        )
        colour, _ = look(series)
        dots = "".join(f"M{place}h0" for place in _path(places).split())
        return (
            f'<path class="dot c{colour}" data-s="{series}" d="{dots}"/>'
            f'<polyline class="c{colour}" data-s="{series}" points="{_path(places)}"/>'
        )

    def frame(self) -> str:
        """Grid, ticks, the guessing line and the guarantee, and the names of the axes."""
        parts = []
        for step in range(int(self.top * 10) + 1):
            y = self.y(step / 10)
            parts.append(f'<line class="grid" x1="0" x2="100%" y1="{y:.2f}%" y2="{y:.2f}%"/>')
            parts.append(f'<text class="left" x="-8" y="{y:.2f}%" dy=".35em">{step / 10:g}</text>')
        for power in range(-4, 20):
            if LEFT <= 2.0**power <= self.right:
                x = self.x(2.0**power)
                small = "" if power % 2 == 0 else " minor"
                parts.append(f'<line class="grid" y1="0" y2="100%" x1="{x:.2f}%" x2="{x:.2f}%"/>')
                parts.append(f'<text class="below{small}" x="{x:.2f}%" y="100%" dy="1.5em">'
                             f"{2.0**power:g}</text>")  # fmt: skip
        parts.append('<text class="below axis" x="50%" y="100%" dy="3.1em">memory M/N: charged '
                     "bits per secret bit (log)</text>")  # fmt: skip
        for error, css in ((0.5, "guessing"), (0.1, "guarantee")):
            y = self.y(error)
            parts.append(f'<line class="{css}" x1="0" x2="100%" y1="{y:.2f}%" y2="{y:.2f}%"/>')
        for memory in MEMORIES if self.bits else ():
            x = self.x(16 * float(memory) / self.bits)
            parts.append(f'<line class="memory" y1="0" y2="100%" x1="{x:.2f}%" x2="{x:.2f}%"/>')
            parts.append(f'<text class="above" x="{x:.2f}%" y="0" dy="-.5em">{memory}</text>')
        if self.bits:
            parts.append('<text class="above axis" x="100%" y="0" dy="-1.9em">memory, of a 16-bit '
                         "cache</text>")  # fmt: skip
        return "".join(parts)

    def names(self) -> str:
        """What the lines are called, beside them."""
        said = (
            ("guessing", 100.0, self.y(0.5), "-.4em", "guessing: e = 1/2"),
            ("guarantee", 100.0, self.y(0.1), "-.4em", "guarantee: e ≤ 1/10"),
        )
        parts = [
            f'<text class="right {css}" x="{x:.2f}%" y="{y:.2f}%" dx="-4" dy="{dy}">{text}</text>'
            for css, x, y, dy, text in said
        ]
        x, y = self.x(0.42), self.y(0.29)
        parts.append(f'<text class="sharing" x="{x:.2f}%" y="{y:.2f}%" dx="8">time sharing'
                     "</text>")  # fmt: skip
        y = self.y(0.03)
        parts.append(f'<text class="fano" x="1.5%" y="{y:.2f}%" dy="-1.3em">impossible</text>')
        parts.append(f'<text class="fano" x="1.5%" y="{y:.2f}%">below Fano’s limit</text>')
        return f'<g aria-hidden="true">{"".join(parts)}</g>'


def _path(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{10 * x:.1f},{10 * y:.1f}" for x, y in places)
