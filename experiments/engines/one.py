"""Play the rows of one engine, and put them where a table has this engine's rows.

    python -m kvbarrier.experiments.engines.one mlx results/quick
    python -m kvbarrier.experiments.engines.one mlx results/quick --into figures/gallery

The first, which is ``make engines/mlx``, fills ``engines-mlx.csv`` in the folder and prints its
settings with what a reader has to be told. The second replaces the engine's rows in the committed
``engines.csv``, and leaves the numbers of all others as they are written.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import click

from ...compressors.engines.schemes import SCHEMES
from ...errors import KVBarrierError
from ...files import replaced
from ...runs.executors import make_executor
from ..kit.run import Run, Scale
from ..kit.tables import Row, fill
from .findings import settings
from .measure import LEFT_OUT, TABLE, groups, left_out, play_group


def table_of(scheme: str) -> str:
    """The name of the table of one engine."""
    return f"engines-{scheme}.csv"


def play(scheme: str, job: Run) -> None:
    """Play what the engine's table does not have yet."""
    rows = SCHEMES[scheme].table().ROWS
    tasks = [(play_group, (tuple(group),)) for group in groups(rows, job.scale)]
    fill(job, f"engines-{scheme}", {table_of(scheme): tasks})


def merge(scheme: str, played: Path, into: Path) -> None:
    """Replace the engine's rows in a folder's tables by those that were played.

    A column that the whole table does not have yet is empty in the other engines' rows.
    """
    old, new = _rows(into / TABLE), _rows(played / table_of(scheme))
    whole: list[Row] = []
    for name in SCHEMES:
        rows = new if name == scheme else old
        whole += [row for row in rows if row["target"].startswith(f"{name}:")]
    columns = dict.fromkeys([*new[0], *(old[0] if old else ())])
    _write(into / TABLE, [{name: row.get(name, "") for name in columns} for row in whole])
    _write(into / LEFT_OUT, left_out())


def _write(path: Path, rows: Sequence[Row]) -> None:
    with replaced(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _rows(path: Path) -> list[Row]:
    """The lines of a table as text, so that what is not replaced stays as it is written."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@click.command()
@click.argument("scheme", type=click.Choice(list(SCHEMES)))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--scale", type=click.Choice(["quick", "full"]), default="quick", show_default=True)
@click.option("--into", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(scheme: str, folder: Path, scale: Scale, into: Path | None) -> None:
    """Play one engine's rows into a folder, and with --into put them in a whole table."""
    try:
        with make_executor(os.cpu_count() or 1, "inline", None) as executor:
            play(scheme, Run(folder, scale, executor))
    except KVBarrierError as error:
        raise SystemExit(str(error)) from None
    for one in settings(folder, table_of(scheme)):
        print(f"{one.name}: {'; '.join(one.findings()) or 'as it says'}")
    if into is not None:
        merge(scheme, folder, into)


if __name__ == "__main__":
    main()
