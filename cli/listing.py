"""``kvbarrier list``: names, for people and programs."""

from __future__ import annotations

from typing import Any

import click

from . import options
from .render import print_json, print_table, tell

#: what a table has room for; --json has everything
_SHORT = {
    "compressors": ("name", "family", "keeps", "declares", "fidelity", "assumes", "broken_by",
                    "grows", "budgets", "source"),
}  # fmt: skip

_NAME = {"experiments": "experiment", "engines": "target", "keys": "name"}

KINDS = ("compressors", "readers", "engines", "reductions", "keys", "experiments")


@click.command(name="list")
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.option("-l", "--long", "long", is_flag=True, help="A table with what is known of each.")
@options.as_json
def command(kind: str, long: bool, as_json: bool) -> None:
    """List the names of one KIND, one a line: compressors, readers, engines, reductions, keys or
    experiments.

    Readers are algorithms that read a cache, for --reduction indistinguishability. Engines are
    other people's caches; the list says which cannot be played here, and why.
    """
    rows: list[dict[str, Any]] = globals()[f"_{kind}"]()
    if as_json:
        print_json({"schema": 1, kind: rows})
        return
    if not long:
        for name in dict.fromkeys(str(row[_NAME.get(kind, "name")]) for row in rows):
            tell(name)
        return
    columns = list(_SHORT.get(kind, rows[0]))
    print_table(kind, columns, [[text(row[name]) for name in columns] for row in rows], width=160)


def text(value: Any) -> str:
    """A plain value as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value)
    return "-" if value is None else str(value)


def _compressors() -> list[dict[str, Any]]:
    from ..compressors.catalog import describe

    return describe()


def _readers() -> list[dict[str, Any]]:
    from ..compressors.readers.catalog import describe

    return describe()


def _engines() -> list[dict[str, Any]]:
    from ..compressors.engines.schemes import describe

    return describe()


def _reductions() -> list[dict[str, Any]]:
    from ..protocols.game.instances import CLASSES, option
    from ..reductions import REDUCTIONS

    rows = [
        {
            "name": name,
            "statement": statement,
            "attention": rule,
            "options": " ".join(map(option, CLASSES[name].choices())),
        }
        for name, (rule, statement) in REDUCTIONS.items()
    ]
    rows[0]["options"] += " --alphabet --bob"
    reads = {
        "name": "indistinguishability",
        "statement": "Theorem 19: a non-adaptive algorithm's reads, not a memory",
        "attention": "softmax",
        "options": "--n --d --eta; targets: list readers",
    }
    return [*rows, reads]


def _keys() -> list[dict[str, Any]]:
    from ..reductions.keys import describe

    return describe()


def _experiments() -> list[dict[str, Any]]:
    from ..experiments.registry import ENGINES, NAMES, get

    return [
        {
            "experiment": name,
            "claim": claim.name,
            "about": claim.about,
            "statement": claim.sentence,
            "source": claim.source,
            "data": list(claim.data),
        }
        for name in (*NAMES, *ENGINES)
        for claim in get(name).claims
    ]
