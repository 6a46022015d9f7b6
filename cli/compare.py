"""``kvbarrier compare``: several targets in the same game, and which of them are not beaten."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options
from .render import number, print_json, print_table, prints_to_stderr, say, tell

if TYPE_CHECKING:
    from ..runs.compared import Row


@click.command(name="compare")
@click.argument("targets", nargs=-1, required=True)
@click.option("-n", "--n", type=options.COUNT, default=256, show_default=True, help="Data tokens.")
@click.option(
    "-d", "--d", type=options.DIMENSION, default=64, show_default=True, help="Head dimension."
)
@click.option("--keys", default="jl", show_default=True, help="Public keys; see list keys.")
@click.option(
    "-b",
    "--budget",
    "budgets",
    multiple=True,
    help="Memory as a fraction of the 16-bit cache, or 'free'.  [default: 1/8,1/4,1/2,1]",
)
@click.option(
    "-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="For all targets."
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="NAME=V1,V2",
    help="Several values, for all targets.",
)
@click.option(
    "--max-bits-per-number",
    "most",
    type=float,
    help="Leave out what takes more bits for each number of K and V.",
)
@click.option(
    "-m",
    "--messages",
    type=options.MESSAGES,
    default=8,
    show_default=True,
    help="Number of messages of each setting.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw error against memory into this PNG, SVG or PDF file.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    targets: tuple[str, ...],
    n: int,
    d: int,
    keys: str,
    budgets: tuple[str, ...],
    params: tuple[str, ...],
    sweeps: tuple[str, ...],
    most: float | None,
    messages: int,
    out: Path | None,
    as_json: bool,
) -> int:
    """Play TARGETS in one game: the same secrets for all, in the literal and the rotated basis.

    A row is a setting: its bits for each number of K and V, and the share of bits that are wrong.
    A star marks the Pareto set: no other row needs at most its memory and loses less.
    """
    from ..figures.style import refuse_other_picture
    from ..protocols.game.instances import Index
    from ..runs.compared import compare

    if out is not None:
        refuse_other_picture(out, "--out")
    with options.progress("compare") as tick, prints_to_stderr():
        rows, report = compare(
            targets,
            Index(n=n, d=d, keys=keys),
            budgets=options.budgets(budgets) if budgets else None,
            params=options.parameters(params),
            sweep=options.sweeps(sweeps),
            messages=messages,
            most=most,
            progress=lambda step: tick(step.cell.target, step.done, step.most),
        )
    if as_json:
        print_json({"schema": 1, "rows": [row.as_dict() for row in rows]})
    else:
        _print(rows, n, d, keys)
        for name in dict.fromkeys(gap.compressor for gap in report.gaps):
            refused = {gap.budget for gap in report.gaps if gap.compressor == name}
            tell(f"{name} does not fit into {len(refused)} of the budgets.")
    for one in report.unplayed:
        say(f"kvbarrier: {one.target} was not played: {one.error}")
    if out is not None:
        _draw(rows, out)
    if any(point["failed"] for row in rows for point in row.points):
        return 3
    return max((one.error.exit_code for one in report.unplayed), default=0)


def _print(rows: list[Row], n: int, d: int, keys: str) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
    print_table(
        f"{keys} keys, n = {n}, d = {d}: the same secrets for all",
        ["", "target", "bits a number", "wrong, literal", "wrong, rotated"],
        [
            [
                "*" if row.pareto else "",
                _name(row.target, width - 50),
                number(row.bits_per_number, 3),
                f"{100 * row.literal:.3g} %",
                f"{100 * row.rotated:.3g} %",
            ]
            for row in rows
        ],
        caption=f"*: no other row needs at most its memory and loses less. Guessing has 50 %. "
        f"{min(row.messages for row in rows)} messages each; the widest interval of a worse "
        f"basis ends at {100 * max(row.high for row in rows):.3g} %.",
    )
    best = [row for row in rows if max(row.literal, row.rotated) <= 0.001]
    if best:
        least = min(best, key=lambda row: row.bits_per_number)
        tell(
            f"The smallest that loses nothing (at most 0.1 % of the bits, in both bases): "
            f"{least.target}, {least.bits_per_number:.3g} bits a number."
        )
    else:
        tell("Every setting loses more than 0.1 % of the bits in one of the bases.")


def _name(text: str, room: int) -> str:
    room = max(12, room)
    return text if len(text) <= room else text[: room - 1] + "…"


def _draw(rows: list[Row], out: Path) -> None:
    from ..figures import error_vs_memory
    from ..runs.points import curve_label

    points: list[Any] = [
        {**point, "series": curve_label(dict(point))} for row in rows for point in row.points
    ]
    error_vs_memory.draw(points, out)
    say(f"wrote {out}: {len(points)} points")
