"""``kvbarrier plot``: error against memory from results files."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import BadInput
from . import options
from .render import say


@click.command(name="plot")
@click.argument("files", nargs=-1, required=True, type=options.READ)
@click.option(
    "--out",
    type=options.WRITE,
    default=Path("plot.png"),
    show_default=True,
    help="PNG, SVG or PDF file to write.",
)
@click.option("--title", help="The title.  [default: the instance]")
def command(files: tuple[Path, ...], out: Path, title: str | None) -> None:
    """Draw error against memory from results FILES (made by attack --resume or --out), merged."""
    from ..figures import error_vs_memory
    from ..figures.style import refuse_other_picture
    from ..runs.points import curve_label, points_of
    from ..runs.results import read_results
    from ..runs.rows import union

    refuse_other_picture(out, "--out")
    points = points_of(union(*[read_results(file) for file in files]))
    if not points:
        raise BadInput(
            f"no complete batch 0 is in {', '.join(map(str, files))}: run kvbarrier attack first."
        )
    error_vs_memory.draw([p | {"series": curve_label(p)} for p in points], out, title=title)
    say(f"wrote {out}: {len(points)} points")
