"""One panel of a figure: measured error against memory, with the two lines that people can name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..reductions.bounds import fano_rate, time_sharing_error
from .style import COLOURS, FAINT, FORBIDDEN, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = Mapping[str, Any]
LEFT = 0.09


def error_panel(axes: Axes, points: Sequence[Point], order: Sequence[str]) -> None:
    """Points in the form of ``attack --json`` with their intervals, a series a compressor.

    ``order`` names the compressors: their places are their colours and markers. What sends nothing
    (M = 0) is drawn at the left edge.
    """
    from matplotlib.ticker import FuncFormatter

    errors = np.linspace(0.0, 0.5, 257)
    rates = np.array([fano_rate(float(e)) for e in errors])
    axes.fill_betweenx(errors, LEFT, np.maximum(rates, LEFT), color=FORBIDDEN, lw=0, zorder=0)
    axes.plot(rates, errors, color="#a33b20", lw=1.8, label="Fano: M/N = 1 − h(e)")
    line = np.geomspace(LEFT, 1.0, 129)
    axes.plot(line, [float(time_sharing_error(float(r))) for r in line], color=FAINT, ls="--",
              lw=1.3, label="line e = (1 − M/N)/2")  # fmt: skip
    for index, name in enumerate(order):
        _curve(axes, index, name, [point for point in points if point["compressor"] == name])
    axes.axhline(0.1, color=FAINT, lw=0.8, ls=":")
    axes.axvline(0.5, color=FAINT, lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_xlim(LEFT, 1.4 * max(float(point["bits_per_secret_bit"]) for point in points))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(-0.012, 0.6)
    axes.set_xlabel("memory M/N: charged bits per secret bit (log)")
    axes.set_ylabel("bit error: wrong bits / asked bits")
    axes.text(0.1, 0.02, "impossible", color="#a33b20", fontsize=9)
    axes.text(0.52, 0.575, "half of the secret's bits", color=FAINT, fontsize=8.5)


def _curve(axes: Axes, index: int, name: str, members: list[Point]) -> None:
    members.sort(key=lambda point: float(point["bits_per_secret_bit"]))
    rates = [max(float(point["bits_per_secret_bit"]), LEFT * 1.08) for point in members]
    estimate, low, high = (
        np.array([float(point["bit_error"][key]) for point in members])
        for key in ("estimate", "low", "high")
    )
    axes.errorbar(
        rates, estimate, yerr=np.maximum([estimate - low, high - estimate], 0.0),
        color=COLOURS[index], marker=MARKERS[index], mfc="none", mew=1.5, ms=9 - 0.6 * index,
        lw=1.1, elinewidth=0.9, capsize=2, label=name, zorder=3,
    )  # fmt: skip
