"""``kvbarrier list``: names, for people and programs."""

from __future__ import annotations

from typing import Any

import click

from .render import print_json, print_table

_REDUCTIONS = (
    ("index", "Theorems 6 and 8, and an additive form: bits in the values",
     "--eta | --gamma, --values 01 | pm1"),
    ("sliding-window", "Theorem 17: bits in the values of an unmasked sliding window",
     "--window, --eta"),
    ("tensor", "tensor attention (2503.11108): bits in both value caches", "--eta; d = 64"),
    ("visual", "visual autoregression (2503.14881): a whole map of questions at once", "--eta"),
    ("indistinguishability", "Theorem 19: a non-adaptive algorithm's reads, not a memory", "--eta"),
)  # fmt: skip

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
        {"name": name, "statement": statement, "options": options}
        for name, statement, options in _REDUCTIONS
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
