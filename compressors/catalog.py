"""What ships with kvbarrier: the baselines, the algorithms attacked, and the controls.

This module has only names and words; a compressor's module is imported on use.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

from ..errors import BadInput, did_you_mean
from .catalog_entry import REDUCTIONS_OF, CatalogEntry
from .docstring import fidelity
from .readers.catalog import READERS
from .zoo import FAMILIES

__all__ = ["CATALOG", "REDUCTIONS_OF", "CatalogEntry", "describe", "entry", "family",
           "is_builtin", "names"]  # fmt: skip

_FAMILY = {name: family for family, members in FAMILIES.items() for name in members}


class _Catalog(Mapping[str, CatalogEntry]):
    """name -> entry, in the order of the catalog; an entry is imported when it is asked for."""

    def __getitem__(self, name: str) -> CatalogEntry:
        folder, file = (word.replace(" ", "_").replace("-", "_") for word in (_FAMILY[name], name))
        module = importlib.import_module(f".zoo.{folder}.{file}", __package__)
        found: CatalogEntry = module.ENTRY
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_FAMILY)

    def __len__(self) -> int:
        return len(_FAMILY)

    def __contains__(self, name: object) -> bool:
        return name in _FAMILY


CATALOG: Mapping[str, CatalogEntry] = _Catalog()


def names() -> list[str]:
    """All names, in the order of the catalog."""
    return list(_FAMILY)


def is_builtin(target: str) -> bool:
    """Whether a target is a name of ours, a compressor's or a reader's; nothing is imported.

    >>> is_builtin("exact?dtype=fp8"), is_builtin("window"), is_builtin("mine.py:Mine")
    (True, True, False)
    """
    name = target.partition("?")[0]
    return name in _FAMILY or name in READERS


def entry(name: str) -> CatalogEntry:
    """The entry of a name.

    Raises:
        BadInput: the name is unknown; the sentence suggests near ones.
    """
    if name not in _FAMILY:
        raise BadInput(f"there is no compressor '{name}'.{did_you_mean(name, _FAMILY)}")
    return CATALOG[name]


def family(name: str) -> str:
    """The family of a name: "eviction", "quantisation", ... (``zoo.FAMILIES``)."""
    return _FAMILY[entry(name).name]


def describe() -> list[dict[str, object]]:
    """The catalog for ``kvbarrier list``: plain data, one row a compressor.

    ``fidelity`` is "faithful" or "adapted" for other people's algorithms (see ``docstring``), None
    for the others; ``own_size`` gives the size at which the leaderboard plays it, and why, if that
    is not the common size.
    """
    return [
        {
            "name": one.name,
            "family": _FAMILY[one.name],
            "keeps": one.summary,
            "fidelity": fidelity(one.cls),
            "assumes": one.assumes or None,
            "broken_by": one.broken_by or None,
            "source": one.source,
            "budgets": one.budgets,
            "parameters": "; ".join(f"{name}: {text}" for name, text in one.params.items()) or None,
            "attention": one.attention,
            "knows_keys": one.cls.knows_keys,
            "own_size": _own_size(one),
        }
        for one in CATALOG.values()
    ]


def _own_size(one: CatalogEntry) -> str | None:
    sizes = ", ".join(f"{name} = {value}" for name, value in one.own_size.items())
    return f"{sizes}: {one.own_size_reason}" if sizes else None
