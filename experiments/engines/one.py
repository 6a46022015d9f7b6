"""Play the rows of one engine, and put them where a table has this engine's rows.

    python -m kvbarrier.experiments.engines.one mlx results/quick
    python -m kvbarrier.experiments.engines.one mlx results/quick --into figures/gallery

The first, which is ``make engines/mlx``, fills ``engines-mlx.csv`` in the folder and prints its
settings with what a reader has to be told. The second replaces the engine's rows in the committed
``engines.csv``, and leaves every other byte of that table as it is.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import click

from ...compressors.engines.schemes import SCHEMES
from ...errors import KVBarrierError
from ...files import replaced
from ...runs.executors import make_executor
from ..kit.run import Run, Scale
from ..kit.tables import fill
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
    """Replace the engine's rows in a folder's tables by those that were played."""
    header, old = _lines(into / TABLE)
    new_header, new = _lines(played / table_of(scheme))
    if header != new_header:
        raise SystemExit(f"{into / TABLE} has other columns: play all engines again.")
    whole: list[str] = []
    for name in SCHEMES:
        one = new if name == scheme else old
        whole += [line for line in one if line.startswith(f"{name}:")]
    with replaced(into / TABLE) as partial:
        partial.write_bytes("".join([header, *whole]).encode())
    with replaced(into / LEFT_OUT) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=["target", "reason"])
        writer.writeheader()
        writer.writerows(left_out())


def _lines(path: Path) -> tuple[str, list[str]]:
    """The header and the records of a table, each with its line end, as they stand."""
    records, record = [], ""
    for line in path.read_bytes().decode().split("\n")[:-1]:
        record += line + "\n"
        # A quoted field may hold a line end.
        if record.count('"') % 2 == 0:
            records.append(record)
            record = ""
    return records[0], records[1:]


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
