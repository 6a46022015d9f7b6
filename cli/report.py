"""``kvbarrier report``: a ranking of the points of results files, as one page."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import BadInput
from ..files import refuse_place, write_whole
from . import options
from .render import print_json, say


@click.command(name="report")
@click.argument("files", nargs=-1, required=True, type=options.READ)
@click.option(
    "--out",
    type=options.WRITE,
    default=Path("report.html"),
    show_default=True,
    help="HTML file to write.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, and no page.")
def command(files: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Rank the points of results FILES (made by attack --resume or --out, or experiments), merged.

    The rank is by the error at a given memory: within 1/8, 1/4 and 1/2 of a 16-bit cache. The page
    also has error against memory as a picture, every point with its interval and verdicts, the
    command that repeats it, what each method assumes, and which adversary breaks that assumption.
    It needs no other file.
    """
    from ..figures.report_page import page
    from ..runs.host import versions
    from ..runs.ranking import rank_rows
    from ..runs.reported import reported

    if out.suffix != ".html":
        raise BadInput(f"{out} is not an HTML file name: give --out a name that ends in .html.")
    refuse_place(out)
    found, sources = reported(files)
    if not found:
        raise BadInput(
            f"no complete batch 0 is in {', '.join(map(str, files))}: run kvbarrier attack first."
        )
    if as_json:
        print_json({"schema": 2, "rows": rank_rows([one.point for one in found])})
        return
    write_whole(out, page(found, sources, versions()["kvbarrier"]))
    say(f"wrote {out}: {len(found)} points")
