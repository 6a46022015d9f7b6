"""What ships with kvbarrier: the baselines, the algorithms attacked, and the controls.

Only names and words here; a compressor's module is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import BadInput, did_you_mean
from .catalog_entry import REDUCTIONS_OF, CatalogEntry
from .mechanisms import fidelity
from .zoo import FAMILIES

__all__ = ["CATALOG", "REDUCTIONS_OF", "CatalogEntry", "describe", "entry", "family", "names"]

CATALOG: Mapping[str, CatalogEntry] = {
    one.name: one for family in FAMILIES.values() for one in family
}


def names() -> list[str]:
    """All names, in the order of the catalog."""
    return list(CATALOG)


def entry(name: str) -> CatalogEntry:
    """The entry of a name.

    Raises:
        BadInput: there is none; did you mean.
    """
    if name not in CATALOG:
        raise BadInput(f"there is no compressor '{name}'.{did_you_mean(name, CATALOG)}")
    return CATALOG[name]


def family(name: str) -> str:
    """The family of a name: "eviction", "quantisation", ... (``entries.FAMILIES``)."""
    return next(kind for kind, members in FAMILIES.items() if entry(name) in members)


def describe() -> list[dict[str, object]]:
    """The catalog for ``kvbarrier list``: plain data, one row a compressor.

    ``fidelity`` is "faithful" or "adapted" for other people's algorithms (see ``mechanisms``), None
    for the others; ``own_size`` says at which size the leaderboard plays it, and why, if not at
    everybody's.
    """
    return [
        {
            "name": one.name,
            "family": kind,
            "keeps": one.summary,
            "fidelity": fidelity(one.load()),
            "assumes": one.assumes or None,
            "broken_by": one.broken_by or None,
            "source": one.source,
            "budgets": one.budgets,
            "parameters": "; ".join(f"{name}: {text}" for name, text in one.params.items()) or None,
            "attention": one.attention,
            "knows_keys": one.knows_keys,
            "own_size": _own_size(one),
        }
        for kind, members in FAMILIES.items()
        for one in members
    ]


def _own_size(one: CatalogEntry) -> str | None:
    sizes = ", ".join(f"{name} = {value}" for name, value in one.own_size.items())
    return f"{sizes}: {one.own_size_reason}" if sizes else None
