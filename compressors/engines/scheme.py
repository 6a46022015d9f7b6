"""The description of an engine: its targets' prefix, its adapter, the packages that it needs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .way import Way


@dataclass(frozen=True)
class Scheme:
    """One engine, ``engines/NAME/``: its ``__init__`` has one as ``SCHEME``.

    Beside it are ``rows.py`` with ``ROWS`` and ``OUT_OF_REACH`` and ``ways.py`` with ``ways``,
    which any interpreter can import, and ``pins.txt``, what ``make engines`` installs in
    ``.engines/NAME``.

    Attributes:
        name: before the colon of a target; also the name of the extra.
        title: for people.
        module, cls: the adapter's class; only an interpreter with the engine's packages can import
            it.
        probes: modules; if the running interpreter has one of them, the engine is installed there.
        needs: the packages, for people.
        example: a target, for sentences.
        shares: its modules keep what a constructor makes, and a fork of the process can use it:
            then a player makes it once, before the processes of its messages are forked.
    """

    name: str
    title: str
    module: str
    cls: str
    probes: tuple[str, ...]
    needs: str
    example: str
    shares: bool = False

    def load(self) -> Any:
        """Import the adapter's class."""
        return getattr(self._part(self.module), self.cls)

    def table(self) -> Any:
        """Import the module of declared rows."""
        return self._part("rows")

    def ways(self, what: str, params: Mapping[str, Any]) -> list[Way]:
        """In what ways a target of this engine is examined (``way``)."""
        found: list[Way] = self._part("ways").ways(what, params)
        return found

    def _part(self, module: str) -> Any:
        return importlib.import_module(f".{self.name}.{module}", __package__)
