"""Replace the committed pictures and tables by those of a results folder: a deliberate step.

    python -m kvbarrier.figures.update_gallery results/quick

``make experiments`` never writes here, so regenerating does not dirty a checkout on a machine
whose floats differ. Of the pictures the PNGs are committed, which the pages show: SVG and PDF are
4 MB more at each change, and ``kvbarrier experiments draw all --tables figures/gallery --out
FOLDER`` makes them from the committed tables. Wrong bits by row and by place stay in the results
folder: no picture and no claim reads them, and they are most of a file.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from ..runs.results import read_results
from ..runs.rows import HEADER, BatchRow

GALLERY = Path(__file__).resolve().parent / "gallery"


def update(results: Path) -> list[str]:
    """Copy the pictures, the tables they are drawn from and the claims; return their names."""
    # What a search played on its way is evidence for the run, not for the picture.
    tables = [path for path in results.glob("*.csv") if not path.stem.endswith("-played")]
    kept = sorted([*results.glob("*.png"), *tables])
    if not kept:
        raise SystemExit(f"{results} holds no pictures: run make experiments first.")
    for path in kept:
        _show(path, GALLERY / path.name)
    return [path.name for path in kept]


def _show(path: Path, place: Path) -> None:
    with path.open("rb") as file:
        played = file.readline() == HEADER.encode()
    if played:
        place.write_text("".join([HEADER, *(_bare(row).line() for row in read_results(path))]))
    else:
        shutil.copyfile(path, place)


def _bare(row: BatchRow) -> BatchRow:
    """The row without what no claim reads: of the average case the counts by row are its mean."""
    bare = replace(row, wrong_by_place=None)
    average = row.spec_dict["instance"]["reduction"] == "gaussian"
    return bare if average else replace(bare, wrong_by_row=None)


if __name__ == "__main__":
    print("\n".join(update(Path(sys.argv[1]))))
