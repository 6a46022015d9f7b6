"""``kvbarrier compare``: several targets in the same game, and which of them are not beaten."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options
from .render import number, print_json, print_table, prints_to_stderr, say, tell

if TYPE_CHECKING:
    from ..protocols.game.instance import Instance
    from ..runs.attack_report import Report
    from ..runs.compared import Row


@click.command(name="compare")
@click.argument("targets", nargs=-1, required=True)
@click.option(
    "-n", "--n", type=options.COUNT, help="Data tokens.  [default: 256; all of a file of keys]"
)
@click.option(
    "-d", "--d", type=options.DIMENSION, default=64, show_default=True, help="Head dimension."
)
@options.keys
@click.option("--norm", metavar="R", help="For keys from a file: as for attack.")
@click.option("--at", metavar="LAYER.HEAD", help="For keys from a file: the KV head.")
@click.option(
    "--k",
    "k_bits",
    metavar="B1,B2",
    help="Bits of a key's number, for targets with a parameter k_bits; every pair with --v.",
)
@click.option(
    "--v",
    "v_bits",
    metavar="B1,B2",
    help="Bits of a value's number, for targets with a parameter v_bits.",
)
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
    "--natural",
    is_flag=True,
    help="Measure by how much a real model's loss on natural text grows too; needs 'make engines'.",
)
@click.option(
    "-o",
    "--out",
    type=options.WRITE,
    help="Draw wrong bits against memory into this PNG, SVG or PDF file.",
)
@options.as_json
def command(
    targets: tuple[str, ...],
    n: int | None,
    d: int,
    keys: str,
    norm: str | None,
    at: str | None,
    k_bits: str | None,
    v_bits: str | None,
    budgets: tuple[str, ...],
    params: tuple[str, ...],
    sweeps: tuple[str, ...],
    most: float | None,
    messages: int,
    natural: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Play TARGETS in one game, to choose among them: the same secrets for all.

    A row is a setting: its bits for each number of K and V, and the shares of bits that are wrong
    of those hidden in values, in the literal and the rotated basis, and of those hidden in keys. A
    star marks the Pareto set: no other row needs at most its memory and loses less.

    --k and --v give keys and values bits of their own: compare kivi --k 8,4,3 --v 8,4,2.
    """
    from ..figures.style import refuse_other_picture
    from ..runs.compared import compare

    if out is not None:
        refuse_other_picture(out, "--out")
    if natural:
        from ..compressors.engines.environments import interpreter
        from ..compressors.engines.schemes import SCHEMES

        interpreter(SCHEMES["hf"])  # or a sentence that says how to install it, before any message
    own = options.is_key_file(keys)
    game = {"n": 256 if n is None and not own else n, "d": d, "keys": keys, "norm": norm, "at": at}
    # Own keys are what they are: nobody turns them.
    games = options.instances(options.defaults() | game | ({} if own else {"basis": "all"}))
    with options.progress("compare") as tick, prints_to_stderr():
        found = compare(
            targets,
            games,
            k_bits=() if k_bits is None else options.numbers(k_bits, "--k"),
            v_bits=() if v_bits is None else options.numbers(v_bits, "--v"),
            budgets=options.budgets(budgets) if budgets else None,
            params=options.parameters(params),
            sweep=options.sweeps(sweeps),
            messages=messages,
            most=most,
            progress=lambda step: tick(step.cell.target, step.done, step.most),
        )
    rows, report = found.rows, found.report
    if natural:
        rows = _on_text(rows, report.targets)
    if as_json:
        print_json({"schema": 1, "rows": [row.as_dict() for row in rows]})
    else:
        _print(rows, games[0])
        for name in dict.fromkeys(gap.compressor for gap in report.gaps):
            refused = {gap.budget for gap in report.gaps if gap.compressor == name}
            tell(f"{name} does not fit into {len(refused)} of the budgets.")
        left = {row.points[0]["compressor"] for row in rows}
        for name in dict.fromkeys(point["compressor"] for point in report.points):
            if name not in left:
                tell(f"{name} takes more than {most:g} bits a number in every setting.")
    for target, sentence in found.as_they_are.items():
        say(f"{target} is played as it is, without --k and --v: {sentence}")
    for one in report.unplayed:
        say(f"kvbarrier: {one.target} was not played: {one.error}")
    if out is not None:
        _draw(rows, games[0], out)
    if report.impossible:
        # The stars and the smallest of a table are then a cheat's, or our own fault's.
        names = ", ".join(dict.fromkeys(_impossible(report)))
        say(
            f"impossible: no messages of this length do as well as those of {names}: there is a "
            "hidden channel, or a bug in kvbarrier. Attack it alone: kvbarrier attack."
        )
        return 4
    if report.changed or any(point["failed"] for row in rows for point in row.points):
        return 3
    return max((one.error.exit_code for one in report.unplayed), default=0)


def _on_text(rows: Sequence[Row], targets: Sequence[str]) -> tuple[Row, ...]:
    """The rows with what each setting costs a real model on natural text."""
    from ..experiments.natural.measure import Setting, increases
    from ..protocols.game.cell import target_name

    settings = []
    for row in rows:
        point = row.points[0]
        name = point["compressor"]
        target = next(one for one in targets if name in (one, target_name(one)))
        budget = None if row.budget is None else Fraction(row.budget).limit_denominator(4096)
        settings.append(Setting(target, budget, tuple(point["params"].items())))
    say(f"compare: {len(settings)} settings on natural text; each takes the model some seconds")
    found = zip(rows, increases(settings), strict=True)
    return tuple(replace(row, natural=increase) for row, increase in found)


def _impossible(report: Report) -> list[str]:
    """Whose points are; all of them where only the family is."""
    points = report.points
    named = [p for p in points if p["ledger"]["verdict"] == "impossible"]
    return [str(point["compressor"]) for point in named or points]


def _print(rows: Sequence[Row], game: Instance) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
    counts = Counter(row.target for row in rows)
    text = any(row.natural is not None for row in rows)
    room = width - (51 if text else 42)
    print_table(
        f"{game.keys_played} keys, n = {game.n}, d = {game.d}: the same secrets for all",
        ["target", "bits", "values", "rotated", "keys", *(["nats"] if text else [])],
        [
            [
                ("* " if row.pareto else "  ") + _name(_label(row, counts), room),
                number(row.bits_per_number, 3),
                *(_percent(share) for share in (row.literal, row.rotated, row.keys)),
                *([f"{row.natural:+.3f}"] if row.natural is not None else []),
            ]
            for row in rows
        ],
        caption="bits: of the message for each number of K and V. values, rotated: wrong bits of "
        "those hidden in values, in the literal and the rotated basis; keys: of those hidden in "
        "keys. Guessing has 50 %. *: no other row needs at most its memory and loses less. "
        + ("nats: by how much a model's loss on natural text grows, a token. " if text else "")
        + f"{min(row.messages for row in rows)} messages each; the widest interval of a worse "
        f"basis ends at {100 * max(row.high for row in rows):.3g} %.",
    )
    best = [row for row in rows if max(row.literal, row.rotated or 0.0, row.keys or 0.0) <= 0.001]
    if best:
        least = min(best, key=lambda row: row.bits_per_number)
        tell(
            f"The smallest that loses nothing (at most 0.1 % of the bits of each kind): "
            f"{least.target}, {least.bits_per_number:.3g} bits a number."
        )
    else:
        tell("Every setting loses more than 0.1 % of the bits of some kind.")


def _label(row: Row, counts: Counter[str]) -> str:
    """The target with its parameters; its budget too where several of them are rows."""
    from ..runs.points import budget_text

    budget = f" at {budget_text(row.budget)}" if counts[row.target] > 1 else ""
    return row.target + budget


def _name(text: str, room: int) -> str:
    room = max(12, room)
    return text if len(text) <= room else text[: room - 1] + "…"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.3g} %"


def _draw(rows: Sequence[Row], game: Instance, out: Path) -> None:
    from ..figures import compared

    compared.draw(rows, out, f"{game.keys_played} keys, n = {game.n}, d = {game.d}")
    say(f"wrote {out}: {len(rows)} settings")
