"""Measured error against memory, and the limits beside it that people can name.

``left`` is the left edge of a logarithmic axis M/N, charged bits per secret bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..reductions.bounds import fano_rate, time_sharing_error
from .style import COLOURS, FAINT, FORBIDDEN, LIMIT, MARKERS, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = Mapping[str, Any]
LEFT = 0.09


def fano_limit(axes: Axes, left: float) -> None:
    """Fano's curve, and the region below it that no (rate, error) point lies in."""
    errors = np.linspace(0.0, 0.5, 513)
    rates = np.array([fano_rate(float(e)) for e in errors])
    axes.fill_betweenx(errors, left, rates, color=FORBIDDEN, lw=0, zorder=0)
    axes.plot(rates, errors, color=LIMIT, lw=1.8, label="Fano limit: M/N = 1 − h(e)")


def time_sharing_line(axes: Axes, left: float) -> None:
    """What is reached by keeping a share of the bits and guessing the others."""
    line = np.geomspace(left, 1.0, 257)
    axes.plot(line, [float(time_sharing_error(float(r))) for r in line], color=FAINT, ls="--",
              lw=1.3, label="time sharing: e = (1 − M/N)/2")  # fmt: skip


def curve(axes: Axes, index: int, label: str, members: Sequence[Point],
          left: float) -> list[tuple[float, float]]:  # fmt: skip
    """Draw the points of the ``index``-th curve, in the form of ``attack --json``.

    A point beyond the left edge (M = 0: it sends nothing) is drawn there with an arrow. Returns
    where its points lie, by memory.
    """
    place, shape = look(index)
    colour, marker = COLOURS[place], MARKERS[shape]
    members = sorted(members, key=lambda p: float(p["bits_per_secret_bit"]))
    rates = np.array([max(float(p["bits_per_secret_bit"]), left * 1.12) for p in members])
    errors = np.array([float(p["bit_error"]["estimate"]) for p in members])
    low = np.array([float(p["bit_error"]["low"]) for p in members])
    high = np.array([float(p["bit_error"]["high"]) for p in members])
    # Evictions coincide by theory: hollow markers of falling size keep every one of them visible.
    axes.errorbar(
        rates, errors, yerr=np.maximum([errors - low, high - errors], 0.0), color=colour,
        marker=marker, mfc="none", mew=1.5, ms=max(4.5, 10.5 - 0.7 * index), lw=1.1,
        elinewidth=1.1, capsize=2.2, label=label, zorder=3,
    )  # fmt: skip
    for rate, error, point in zip(rates, errors, members, strict=True):
        if float(point["bits_per_secret_bit"]) < left:
            axes.annotate("", (left, error), (rate, error),
                          arrowprops={"arrowstyle": "->", "color": colour})  # fmt: skip
    return [(float(rate), float(error)) for rate, error in zip(rates, errors, strict=True)]


def cloud(axes: Axes, points: Sequence[Point], left: float) -> None:
    """All points as dots without names, where they are more than a legend can tell apart."""
    rates = [max(float(p["bits_per_secret_bit"]), left * 1.12) for p in points]
    errors = [float(p["bit_error"]["estimate"]) for p in points]
    axes.plot(rates, errors, "o", color=COLOURS[0], ms=4, mew=0, alpha=0.45, label="one setting")


def error_panel(axes: Axes, points: Sequence[Point], order: Sequence[str]) -> None:
    """A whole panel; ``order`` names the compressors: their places are colours and markers."""
    from matplotlib.ticker import FuncFormatter

    fano_limit(axes, LEFT)
    time_sharing_line(axes, LEFT)
    for index, name in enumerate(order):
        curve(axes, index, name, [p for p in points if p["compressor"] == name], LEFT)
    axes.axhline(0.1, color=FAINT, lw=0.8, ls=":")
    axes.axvline(0.5, color=FAINT, lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_xlim(LEFT, 1.4 * max(float(point["bits_per_secret_bit"]) for point in points))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(-0.012, 0.6)
    axes.set_xlabel("memory M/N: charged bits per secret bit (log)")
    axes.set_ylabel("bit error: wrong bits / asked bits")
    axes.text(0.1, 0.02, "impossible", color=LIMIT, fontsize=9)
    axes.text(0.52, 0.575, "half of the secret's bits", color=FAINT, fontsize=8.6)
