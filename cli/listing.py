"""``kvbarrier list``: names, for people and programs."""

from __future__ import annotations

from typing import Any

import click

from .render import print_json, print_table

_REDUCTIONS = (
    ("index", "Theorems 6 and 8, and an additive form: bits in the values", "softmax",
     "--n --d --keys --seed --eta | --gamma --values --scale --rows --layers --heads --queries "
     "--basis --alphabet --bob"),
    ("heavy-hitters", "planted: an eighth of the tokens is attended to, and is what is asked for",
     "softmax", "--n --d --keys --seed --eta --scale --rows"),
    ("clusters", "planted: sixteen tokens a cluster, close keys, one value", "softmax",
     "--n --d --keys --seed --eta --scale --rows"),
    ("recency", "planted: the last eighth of the tokens is what is asked for", "softmax",
     "--n --d --keys --seed --eta --scale --rows"),
    ("sliding-window", "Theorem 17: bits in the values of an unmasked sliding window",
     "unmasked-window", "--n --d --window --keys --seed --eta --scale --rows"),
    ("tensor", "tensor attention (2503.11108): bits in both value caches", "tensor",
     "--n (up to d) --d (16, 64, 256) --eta --scale --rows"),
    ("visual", "visual autoregression (2503.14881): a whole map of questions at once", "softmax",
     "--n (30, 55, 91, 155, 255, 424) --d --keys --seed --eta --scale"),
    ("key-payload", "bits in keys and values: a public address a key, and a payload", "softmax",
     "--n --d --eta --key-bits --rows"),
    ("indistinguishability", "Theorem 19: a non-adaptive algorithm's reads, not a memory",
     "softmax", "--n --d --eta; targets: list readers"),
)  # fmt: skip

#: what a table has room for; --json has everything
_SHORT = {
    "compressors": ("name", "family", "keeps", "fidelity", "assumes", "broken_by", "budgets",
                    "source"),
}  # fmt: skip

KINDS = ("compressors", "readers", "engines", "reductions", "keys", "experiments")


@click.command(name="list")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(kind: str, as_json: bool) -> None:
    """List the names of one KIND.

    Readers are non-adaptive algorithms, for --reduction indistinguishability. Engines are other
    people's caches, with what is out of reach and why.
    """
    rows: list[dict[str, Any]] = globals()[f"_{kind}"]()
    if as_json:
        print_json({"schema": 1, kind: rows})
        return
    columns = list(_SHORT.get(kind, rows[0]))
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


def _readers() -> list[dict[str, Any]]:
    from ..compressors.readers.catalog import describe

    return describe()


def _engines() -> list[dict[str, Any]]:
    from ..compressors.engines.schemes import describe

    return describe()


def _reductions() -> list[dict[str, Any]]:
    columns = ("name", "statement", "attention", "options")
    return [dict(zip(columns, row, strict=True)) for row in _REDUCTIONS]


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
