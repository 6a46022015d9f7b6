"""``kvbarrier list``: names, for people and programs."""

from __future__ import annotations

from typing import Any

import click

from .render import print_json, print_table

KINDS = ("compressors", "reductions", "keys", "experiments")


@click.command(name="list")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(kind: str, as_json: bool) -> None:
    """List the names of one KIND: compressors, reductions, keys or experiments."""
    rows: list[dict[str, Any]] = globals()[f"_{kind}"]()
    if as_json:
        print_json({"schema": 1, kind: rows})
        return
    columns = list(rows[0])
    print_table(kind, columns, [[text(row[name]) for name in columns] for row in rows])


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


def _reductions() -> list[dict[str, Any]]:
    return [
        {
            "name": "index",
            "statement": "Theorems 6 and 8, and an additive form: bits in the values",
            "options": "--eta | --gamma, --values 01 | pm1",
        }
    ]


def _keys() -> list[dict[str, Any]]:
    from ..reductions.keys import describe

    return describe()


def _experiments() -> list[dict[str, Any]]:
    from ..experiments.registry import NAMES, get

    return [
        {
            "experiment": name,
            "claim": claim.name,
            "about": claim.about,
            "statement": claim.statement,
            "source": claim.source,
            "data": list(claim.data),
        }
        for name in NAMES
        for claim in get(name).claims
    ]
