"""``kvbarrier report``: a ranking of the points of results files, as one page."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from ..errors import BadInput
from ..files import refuse_link, write_whole
from .render import print_json, say


@click.command(name="report")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="HTML file to write.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, and no page.")
def command(files: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Rank the points of results FILES (made by attack --resume or --out, or experiments), merged.

    The rank is by recovered secret bits per charged bit. The page also shows the overhead over the
    limit, the error at fixed budgets, what each method assumes, and which adversary breaks that
    assumption. It needs no other file.
    """
    from ..figures import error_vs_memory
    from ..runs.points import curve_label, points_of
    from ..runs.ranking import page, rank_rows
    from ..runs.results import read_results
    from ..runs.rows import union

    if out.suffix != ".html":
        raise BadInput(f"{out} is not an HTML file name: give --out a name that ends in .html.")
    refuse_link(out)
    points = points_of(union(*[read_results(file) for file in files]))
    if not points:
        raise BadInput(
            f"no complete batch 0 is in {', '.join(map(str, files))}: run kvbarrier attack first."
        )
    if as_json:
        print_json({"schema": 1, "rows": rank_rows(points)})
        return
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "plot.png"
        labelled = [point | {"series": curve_label(point)} for point in points]
        error_vs_memory.draw(labelled, picture)
        write_whole(out, page(points, picture.read_bytes()))
    say(f"wrote {out}: {len(points)} points")
