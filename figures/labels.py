"""Names beside what they name, instead of a legend that the eye has to go to and come back from.

A name is tried at every point that it may stand at, in twelve directions and at seven distances;
it takes the place that is nearest to its point and covers the fewest lines, marks and other names.
Names are placed in the order in which they are given, so equal figures give equal places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .style import INK, settle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

SIZE = 9.0
"""Points; 9.4 inches drawn 800 pixels wide make it 10.6 pixels."""
_REACH = (6.0, 11.0, 18.0, 27.0, 38.0, 52.0, 70.0)
_TURNS = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_STEP = 3.0
"""Points between the samples of a line that a name must not cover."""
_LEADER = 15.0
"""A name further away than so many points gets a line to its point."""
_CONTRAST = 4.6
_COVERED, _CROSSED, _OUTSIDE = 40.0, 2.0, 1e5


@dataclass(frozen=True)
class Name:
    """A name, its colour and the places of the data, (m, 2), of which it may stand at any."""

    text: str
    colour: str
    at: Sequence[tuple[float, float]]


def name_series(figure: Figure, axes: Axes, names: Sequence[Name], *, size: float = SIZE) -> None:
    """Write each name beside one of its points. Everything else must be drawn already.

    Names take no part in the layout: they stay inside the axes.
    """
    settle(figure)
    scale = 72.0 / figure.dpi
    frame = np.array(axes.get_window_extent().extents) * scale
    taken = _points(_drawn(axes), scale)
    boxes = [_box(text) * scale for text in axes.texts if text.get_text().strip()]
    for name in names:
        wide, high = _extent(figure, name.text, size)
        anchors = axes.transData.transform(np.asarray(name.at, dtype=float)) * scale
        anchor, corner = _best(anchors, wide, high, frame, taken, boxes)
        boxes.append(np.array([*corner, corner[0] + wide, corner[1] + high]))
        far = _distance(anchor, boxes[-1]) > _LEADER
        if far:
            taken = np.concatenate([taken, _leader(anchor, boxes[-1])])
        here = axes.transData.inverted().transform(anchor / scale)
        axes.annotate(
            name.text, (float(here[0]), float(here[1])), xytext=tuple(corner - anchor),
            textcoords="offset points", ha="left", va="bottom", fontsize=size, color=name.colour,
            arrowprops={"arrowstyle": "-", "color": name.colour, "lw": 0.7, "shrinkA": 0,
                        "shrinkB": 4} if far else None,
        ).set_in_layout(False)  # fmt: skip


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """The places nearest to ``wanted`` (least squares) that keep their order and ``gap`` apart.

    Less i gaps, the i-th place must not fall: the pool of adjacent violators.

    >>> spread([0.0, 0.0, 10.0], gap=4)
    [-2.0, 2.0, 10.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    pools: list[list[float]] = []
    for rank, i in enumerate(order):
        pools.append([wanted[i] - rank * gap])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    flat = [float(np.mean(pool)) for pool in pools for _ in pool]
    placed = [0.0] * len(wanted)
    for rank, i in enumerate(order):
        placed[i] = flat[rank] + rank * gap
    return placed


def name_ends(figure: Figure, axes: Axes, names: Sequence[Name], *, size: float = SIZE) -> None:
    """Write each name to the right of its last point, moved up or down where two would meet."""
    settle(figure)
    scale = 72.0 / figure.dpi
    ends = [axes.transData.transform(name.at[-1]) * scale for name in names]
    heights = spread([end[1] for end in ends], 1.15 * size)
    for name, end, height in zip(names, ends, heights, strict=True):
        axes.annotate(
            name.text, name.at[-1], xytext=(10, height - end[1]), textcoords="offset points",
            ha="left", va="center", fontsize=size, color=name.colour, annotation_clip=False,
        ).set_in_layout(False)  # fmt: skip


def text_in(colour: str) -> str:
    """The colour of a name: that of its line, as dark as text on white must be (WCAG 2: 4.5 to 1).

    >>> text_in("#0072B2"), text_in("#56B4E9")
    ('#0072b2', '#3b7b9f')
    """
    from matplotlib.colors import to_hex, to_rgb

    parts = np.array(to_rgb(colour))
    while 1.05 / (_luminance(parts) + 0.05) < _CONTRAST:
        parts = parts * 0.99
    red, green, blue = map(float, parts)
    return to_hex((red, green, blue))


def _luminance(parts: Array) -> float:
    """Relative luminance of an sRGB colour."""
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _extent(figure: Figure, text: str, size: float) -> tuple[float, float]:
    from matplotlib.text import Text

    trial = figure.add_artist(Text(0, 0, text, fontsize=size, color=INK))
    box = trial.get_window_extent()
    trial.remove()
    scale = 72.0 / figure.dpi
    return float(box.width) * scale, float(box.height) * scale


def _box(text: Any) -> Array:
    """Of an annotation the text alone, without its arrow."""
    from matplotlib.text import Text

    text.get_window_extent()  # places an annotation that has not been drawn yet
    return np.array(Text.get_window_extent(text).extents)


def _drawn(axes: Axes) -> list[Array]:
    """All lines and marks in pixels: polylines, rims of marks, and the strokes of error bars."""
    found = []
    turns = 2 * np.pi * np.arange(8)[:, None] / 8
    rim = np.hstack([np.cos(turns), np.sin(turns)])
    for line in axes.lines:
        path = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float))
        if line.get_linestyle() != "None":
            found.append(path)
        if line.get_marker() not in ("None", "", None):
            radius = line.get_markersize() / 2 * axes.figure.dpi / 72
            found += list((path[:, None] + radius * rim).reshape(-1, 1, 2))
    for strokes in axes.collections:
        segments: list[Any] = getattr(strokes, "get_segments", list)()
        found += [axes.transData.transform(np.asarray(one, dtype=float)) for one in segments]
    return [one[np.isfinite(one).all(axis=1)] for one in found]


def _points(drawn: Sequence[Array], scale: float) -> Array:
    """Samples of what is drawn, at most ``_STEP`` apart, in points."""
    found: list[Array] = [np.empty((0, 2))]
    for path in drawn:
        path = np.clip(path * scale, -1e4, 1e4)
        found.append(path)
        for one, other in pairwise(path):
            count = int(np.hypot(*(other - one)) / _STEP)
            if count > 1:
                share = np.linspace(0, 1, count + 1)[1:-1, None]
                found.append(one + share * (other - one))
    return np.concatenate(found)


def _best(anchors: Array, wide: float, high: float, frame: Array, taken: Array,
          boxes: Sequence[Array]) -> tuple[Array, Array]:  # fmt: skip
    """The anchor and the lower left corner of the cheapest place."""
    least = (np.inf, anchors[0], anchors[0])
    half = np.array([wide / 2, high / 2])
    for rank, anchor in enumerate(anchors):
        for reach in _REACH:
            for turn in _TURNS:
                toward = np.array([np.cos(turn), np.sin(turn)])
                # The box's side or corner nearest to the anchor is ``reach`` away from it.
                middle = anchor + toward * reach + np.sign(toward.round(6)) * half
                box = np.concatenate([middle - half, middle + half])
                cost = reach + 1e-3 * rank
                if cost < least[0]:
                    cost += _covered(box, frame, taken, boxes)
                # To follow a leader past all that is drawn is dear: only where it can still win.
                if cost < least[0] and _distance(anchor, box) > _LEADER:
                    cost += _crossed(_leader(anchor, box), taken, boxes)
                if cost < least[0]:
                    least = (cost, anchor, box[:2])
    return least[1], least[2]


def _covered(box: Array, frame: Array, taken: Array, boxes: Sequence[Array]) -> float:
    """What it costs that a name lies on other things."""
    if (box[:2] < frame[:2] + 2).any() or (box[2:] > frame[2:] - 2).any():
        return _OUTSIDE
    return _COVERED * float(_inside(box, taken, 2.0)) + sum(
        _OUTSIDE / 10 for other in boxes if _meet(box, other)
    )


def _crossed(leader: Array, taken: Array, boxes: Sequence[Array]) -> float:
    """What a leader costs, and that it runs through other things."""
    near = taken[((taken > leader.min(0) - 2) & (taken < leader.max(0) + 2)).all(axis=1)]
    gaps = np.hypot(*(leader[:, None] - near[None]).transpose(2, 0, 1)).min(initial=9, axis=1)
    through = sum(_inside(other, leader, 2.0) for other in boxes)
    return _CROSSED * (6 + 0.5 * float((gaps < 2.0).sum())) + 5 * _COVERED * through


def _leader(anchor: Array, box: Array) -> Array:
    """Samples of the line from a name to its point, but for the point itself."""
    nearest = np.clip(anchor, box[:2], box[2:])
    return anchor + np.linspace(0.25, 1, 24)[:, None] * (nearest - anchor)


def _inside(box: Array, points: Array, margin: float) -> int:
    low, high = box[:2] - margin, box[2:] + margin
    return int(((points > low) & (points < high)).all(axis=1).sum())


def _meet(box: Array, other: Array) -> bool:
    return bool((box[:2] < other[2:] + 2).all() and (other[:2] - 2 < box[2:]).all())


def _distance(point: Array, box: Array) -> float:
    return float(np.hypot(*(np.clip(point, box[:2], box[2:]) - point)))
