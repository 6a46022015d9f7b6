"""The map of what is lost: tokens against channels, a panel for each point, layer and head.

It reads joint counts (``protocols.evidence.losses``) and never runs anything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..protocols.evidence.losses import Losses
from .style import FAINT, INK, page, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 24
"""More are not legible: then the heads and layers of each point are drawn as one, their mean."""
MOST_COLUMNS = 512
"""Cells across a panel; of a longer stream each shows the worst of some tokens."""
SHADES = ("#ffffff", "#fde3b8", "#e69f00", "#a3450f", "#3d1505")
"""From no wrong bit to all of them: lightness falls all the way, so hues need not be told apart."""
NOT_ASKED = "#d9dde1"


@dataclass(frozen=True)
class Mapped:
    """A point of a picture: what it is called, its counts, and the sentence of its map."""

    name: str
    losses: Losses
    sentence: str


def draw(points: Sequence[Mapped], path: Path, *, title: str, level: float) -> None:
    """Draw points as PNG, SVG or PDF, by the suffix of ``path``.

    ``level``: the confidence of the sentences. Raises ValueError without a point.
    """
    if not points:
        raise ValueError("a map needs a point with counts")
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("wrong", SHADES).with_extremes(bad=NOT_ASKED)
    panels, left_out = _panels(points)
    rows, columns = len(panels), max(len(row) for row in panels)
    cells = -(-max(len(point.losses.asked) for point in points) // MOST_COLUMNS)
    high = 2.3 if rows == 1 else 1.35
    head = "\n".join(textwrap.wrap(plain(title, 300), 92))
    with page(path, head, rows, columns, height=1.7 + rows * high, squeeze=False) as (figure, axes):
        image: Any = None
        for row, line in zip(panels, axes, strict=True):
            for panel, one in zip(row, line, strict=False):
                image = _panel(one, panel, shades, cells)
            for one in line[len(row) :]:
                one.set_visible(False)
        for one in axes[-1]:
            one.set_xlabel("token, by its place in the stream" if columns == 1 else "token")
        if columns > 1:
            for one in axes.flat:
                one.label_outer()
        figure.supylabel("channel", fontsize=11)
        bar = figure.colorbar(image, ax=axes, fraction=0.025, pad=0.012, ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels(["0", "½: lost", "1"])
        bar.set_label("share of wrong bits")
        figure.supxlabel(
            _caption(points, level, cells, left_out), x=0.01, ha="left", fontsize=8.8, color=INK
        )


Panel = tuple[str, NDArray[np.float64], tuple[tuple[int, str], ...]]


def _panels(points: Sequence[Mapped]) -> tuple[list[list[Panel]], str]:
    """Rows of panels, and what a reader must know about those that are not there."""
    sizes = [point.losses.wrong.shape[1:3] for point in points]
    apart = sum(layers * heads for layers, heads in sizes) <= MOST_PANELS
    found: list[list[Panel]] = []
    for point, (layers, heads) in zip(points[:MOST_PANELS], sizes, strict=False):
        share, marks = point.losses.share, point.losses.marks
        if not apart or layers * heads == 1:
            found.append([(point.name, share.mean(axis=(1, 2)), marks)])
            continue
        for layer in range(layers):
            of = f", layer {layer}" if layers > 1 else ""
            found.append(
                [
                    (f"{point.name if head == 0 else ''}{of} head {head}".lstrip(", "),
                     share[:, layer, head], marks)
                    for head in range(heads)
                ]
            )  # fmt: skip
    notes = []
    if not apart:
        notes.append("A panel is the mean over all layers and heads.")
    if len(points) > MOST_PANELS:
        notes.append(f"{len(points) - MOST_PANELS} more points are not drawn.")
    return found, " ".join(notes)


def _panel(axes: Axes, panel: Panel, shades: Any, cells: int) -> Any:
    name, share, marks = panel
    n, width = share.shape
    if cells > 1:
        padded = np.full((-(-n // cells) * cells, width), np.nan)
        padded[:n] = share
        filled = np.where(np.isnan(padded), -1.0, padded).reshape(-1, cells, width).max(axis=1)
        share = np.where(filled < 0, np.nan, filled)
    image = axes.imshow(
        share.T, aspect="auto", interpolation="nearest", origin="lower", cmap=shades,
        vmin=0.0, vmax=1.0, extent=(-0.5, len(share) * cells - 0.5, -0.5, width - 0.5),
    )  # fmt: skip
    axes.grid(visible=False)
    axes.set_xlim(-0.5, n - 0.5)
    for at, _ in marks:
        axes.axvline(at - 0.5, color="#0072B2", lw=0.9, ls=(0, (3, 2)))
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    axes.set_title(plain(name, 60), fontsize=9.5, color=INK)
    axes.tick_params(labelsize=8.5, color=FAINT)
    axes.locator_params(axis="y", nbins=4, integer=True)
    axes.locator_params(axis="x", integer=True)
    return image


def _caption(points: Sequence[Mapped], level: float, cells: int, left_out: str) -> str:
    messages = sorted({point.losses.messages for point in points})
    some = f"{messages[0]}" if len(messages) == 1 else f"{messages[0]} to {messages[-1]}"
    number = "message" if messages == [1] else "messages"
    parts = [f"{some} {number} a point; a cell is one token and channel over all of them."]
    if cells > 1:
        parts.append(f"Cells show the worst of {cells} tokens.")
    parts += [left_out] if left_out else []
    if any(point.losses.marks for point in points):
        kinds = sorted({kind for point in points for _, kind in point.losses.marks})
        parts.append(f"Dashed: {', '.join(kinds)} of one message's stream.")
    lines = textwrap.wrap(" ".join(parts), 125)
    for point in points[:4]:
        named = f"{point.name}: " if len(points) > 1 else ""
        lines += textwrap.wrap(plain(named + point.sentence, 400), 125)
    if len(points) > 4:
        lines.append(f"and {len(points) - 4} more sentences, in the output of the program.")
    lines.append(f"Places are named at level {level:g}, over everything that could be named.")
    return "\n".join(lines)
