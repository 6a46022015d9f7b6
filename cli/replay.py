"""``kvbarrier replay``: play one batch of a results file again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import BadInput, did_you_mean
from . import options
from .render import print_json, print_table, prints_to_stderr, tell

if TYPE_CHECKING:
    from ..runs.rows import BatchRow


@click.command(name="replay")
@click.argument("file", type=options.READ)
@click.argument("cell", required=False)
@click.argument("batch", type=click.IntRange(0), required=False)
@click.option("--target", help="Path of the plug-in, if it is a file; a row holds only its name.")
@click.option(
    "--isolation",
    type=click.Choice(["inline", "process", "namespaces"]),
    help="Use a different isolation from the row's.",
)
@options.as_json
def command(
    file: Path,
    cell: str | None,
    batch: int | None,
    target: str | None,
    isolation: str | None,
    as_json: bool,
) -> int:
    """Play BATCH of CELL (an id, or the start of one) in FILE again, and compare it with its row.

    Without BATCH it is the first; without CELL that of a file with one, or a sentence that names
    them.

    The same key gives the same secrets and the same coins, so a deterministic compressor gives
    equal counts. If the counts differ, the message is named.
    """
    from ..runs.replay import replay
    from ..runs.results import read_results

    rows = read_results(file)
    if not rows:
        raise BadInput(f"{file} has no results: run kvbarrier attack --resume {file} first.")
    ids = sorted({row.cell for row in rows if row.cell.startswith(cell or "")})
    if len(ids) != 1 and cell is None:
        raise BadInput(f"{file} has {len(ids)} cells: name one of {_cells(rows)}.")
    if len(ids) != 1:
        known = {row.cell for row in rows}
        hint = f" It fits {', '.join(ids)}." if ids else did_you_mean(str(cell), known)
        raise BadInput(f"'{cell}' does not name exactly one cell of {file}.{hint}")
    batches = sorted(row.batch for row in rows if row.cell == ids[0])
    batch = batches[0] if batch is None else batch
    found = [row for row in rows if row.cell == ids[0] and row.batch == batch]
    if not found:
        more = f" to {batches[-1]}" if len(batches) > 1 else ""
        raise BadInput(f"cell {ids[0]} has no batch {batch}: give {batches[0]}{more}.")
    with prints_to_stderr():
        result = replay(found[-1], target=target, isolation=isolation)
    if as_json:
        print_json(result.as_dict())
    else:
        print_table(
            f"{found[-1].compressor}, batch {batch}, {result.isolation}",
            ["message", "wrong then", "wrong now", "charged then", "charged now", "failed now"],
            result.table(),
        )
        tell("equal" if result.equal else f"different at messages {result.different}")
        then, now = result.then.source, result.now.source
        if then != now:
            tell(f"the code is not that of the row: its digest was {then}, and is {now} here.")
    return 0 if result.equal else 1


def _cells(rows: Sequence[BatchRow]) -> str:
    """The cells by id, each with what was played; the first ten of many."""
    from ..protocols.game.cell import cell_of
    from ..runs.points import budget_text, series_label

    told = []
    for row in {row.cell: row for row in rows}.values():
        cell = cell_of(row.spec_dict)
        label = series_label({"compressor": row.compressor, "params": dict(cell.params)})
        told.append(f"{row.cell} ({label} at {budget_text(cell.budget)})")
    return ", ".join(told[:10]) + (f" and {len(told) - 10} more" if len(told) > 10 else "")
