"""What ships with kvbarrier: the baselines, the algorithms attacked, and the controls.

This module has only names and words; a compressor's module is imported on use.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..errors import BadInput, BudgetTooSmall, did_you_mean
from .zoo import FAMILIES

if TYPE_CHECKING:
    from .catalog_entry import CatalogEntry

_FAMILY = {name: family for family, members in FAMILIES.items() for name in members}


class _Catalog(Mapping[str, "CatalogEntry"]):
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
    if name in _FAMILY or not re.fullmatch(r"[a-z0-9-]+", name):
        return name in _FAMILY
    from .readers.catalog import READERS

    return name in READERS


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

    ``grows`` is the power of n in the time of a stream of n tokens, where the memory is in
    proportion to n. ``fidelity`` is "faithful" or "adapted" for other people's algorithms (see
    ``docstring``), None for the others; ``declares`` is what it says it holds
    (:func:`declaration`); ``own_size`` gives the size at which the leaderboard plays it, and why,
    if that is not the common size.
    """
    from .docstring import fidelity

    return [
        {
            "name": one.name,
            "family": _FAMILY[one.name],
            "keeps": one.summary,
            "declares": declaration(one),
            "fidelity": fidelity(one.cls),
            "assumes": one.assumes or None,
            "broken_by": one.broken_by or None,
            "grows": f"n^2 in {one.square}" if one.square else "n",
            "source": one.source,
            "budgets": one.budgets,
            "parameters": "; ".join(f"{name}: {text}" for name, text in one.params.items()) or None,
            "attention": one.attention,
            "knows_keys": one.cls.knows_keys,
            "own_size": _own_size(one),
        }
        for one in CATALOG.values()
    ]


def declaration(one: CatalogEntry) -> str | None:
    """What an entry declares of a stream of n = 512, d = 64, in words; None: nothing.

    With a budget of half of the 16-bit cache, or without one where it does not fit into that.

    >>> declaration(entry("sliding-window")), declaration(entry("subgen"))
    ('keeps=last:256 bits=16', None)
    """
    from .plugin.adapters import adapt
    from .plugin.contract import Shape
    from .plugin.declaration import declared_by

    shape = Shape(tokens=512, d_k=64, d_v=64)
    if one.cls.knows_keys:
        said = declared_by(one.cls)
        return None if said is None else str(said)
    make = adapt(one.cls)
    try:
        said = declared_by(make(shape, shape.cache_bits_16 // 2))
    except BudgetTooSmall:
        said = declared_by(make(shape))
    return None if said is None else str(said)


def _own_size(one: CatalogEntry) -> str | None:
    sizes = ", ".join(f"{name} = {value}" for name, value in one.own_size.items())
    return f"{sizes}: {one.own_size_reason}" if sizes else None
