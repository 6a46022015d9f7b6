"""The common look: light, colour-blind safe, legible at README width, byte-identical on re-drawing.

Colours are Okabe and Ito's. Text is drawn as paths of a font that ships with matplotlib, and no
date or version enters the file, so equal tables give equal bytes on one machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..files import refuse_place, replaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F6A00", "#444444",
           "#882255", "#117733")  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "+", "x", "<", ">", "h")
INK = "#222222"
FAINT = "#8a8a8a"
FORBIDDEN = "#f3dcd6"
LIMIT = "#a33b20"

_RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    # As it is saved: names are placed by the sizes that texts have at it.
    "figure.dpi": 150,
    "axes.labelsize": 11,
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.8,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.dpi": 150,
    "svg.hashsalt": "kvbarrier",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def page(
    path: Path, title: str = "", rows: int = 1, columns: int = 1, *, height: float = 5.4,
    width: float = 9.4, title_size: float = 12.5, **settings: Any,
) -> Iterator[tuple[Figure, Any]]:  # fmt: skip
    """A figure of so many inches, and its axes as ``pyplot.subplots`` returns them: draw inside.

    It has our settings, whatever the user's own are, and his come back. It is apart from pyplot: no
    figure stays open, and the backend of a user's notebook stays his. At the end it is written to
    ``path`` (:func:`save`).
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, **settings)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=title_size)
        yield figure, axes
        save(figure, path)


def plain(text: Any, most: int = 120) -> str:
    """Somebody's text for a picture: one short line, and no formula where there is a dollar sign.

    >>> print(plain("$a\\ud800b\\nc" + "d" * 200, most=12))
    \\$a?b cddddd…
    """
    short = one_line(text, most)
    # Matplotlib leaves a label that begins with an underscore out of the legend.
    return short.replace("$", r"\$") if not short.startswith("_") else " " + short


def one_line(text: Any, most: int = 120) -> str:
    """Somebody's text as one short line of printable characters.

    >>> one_line("a\\u202eb\\nc" + "d" * 200, most=12)
    'a?b cdddddd…'
    """
    flat = " ".join(str(text).encode("utf-8", "replace").decode().split())
    flat = "".join(c if c.isprintable() else "?" for c in flat)
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def look(index: int) -> tuple[int, int]:
    """Places of the ``index``-th series in COLOURS and MARKERS: the next round of colours meets
    other markers.

    >>> look(0), look(10), look(11)
    ((0, 0), (0, 1), (1, 2))
    """
    return index % len(COLOURS), (index + index // len(COLOURS)) % len(MARKERS)


def legend_below(figure: Figure, panels: Sequence[Axes], *, columns: int, caption: str) -> None:
    """A legend of the panels below them, headed by the caption that says what stands behind them.

    A label that several things have is named once, by the first.
    """
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    legend = figure.legend(
        list(found.values()), list(found), loc="outside lower left", ncols=columns,
        columnspacing=1.4, handletextpad=0.5, title=caption, title_fontsize=8.8, alignment="left",
    )  # fmt: skip
    legend.get_title().set_color(INK)


def caption_below(figure: Figure, caption: str) -> None:
    """The caption alone, where names stand beside what they name."""
    legend_below(figure, [], columns=1, caption=caption)


def beside(path: Path, more: str) -> Path:
    """The path of another picture of the same experiment.

    >>> beside(Path("bounds.png"), "models").name, beside(Path("bounds"), "models").name
    ('bounds-models.png', 'bounds-models')
    """
    return path.with_name(f"{path.stem}-{more}{path.suffix}")


NAMELESS: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""The kinds of files that are written, by suffix, and what is left out of each."""


def refuse_other_picture(path: Path, option: str, made: Path | None = None) -> None:
    """Raise BadInput for a name that is no picture's, and where no file can be written.

    ``option``: what was given the name. ``made``: a folder that will be there. For callers that
    draw at the end of long work.
    """
    kinds = [f".{kind}" for kind in NAMELESS]
    if path.suffix not in kinds:
        raise BadInput(
            f"{path} is no picture that can be drawn: give {option} a name that ends in "
            f"{', '.join(kinds[:-1])} or {kinds[-1]}."
        )
    refuse_place(path, made)


def settle(figure: Figure) -> None:
    """Lay the figure out, once: what is placed by the result stands where it was put."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        # For the placeholder that "none" leaves every file would be drawn twice; by our settings
        # None is no engine.
        figure.set_layout_engine(None)


def save(figure: Figure, path: Path) -> None:
    """Write a figure without dates or versions, replacing an old file in one step.

    PNG, SVG or PDF, by the suffix of ``path``; without a suffix a file of each kind.
    """
    kinds = [path.suffix.removeprefix(".")] if path.suffix else list(NAMELESS)
    settle(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        with replaced(path.with_suffix(f".{kind}")) as partial:
            figure.savefig(partial, format=kind, metadata=NAMELESS[kind])
