"""Fixed patterns: which positions are read is said before there is any data."""

from __future__ import annotations

from ..catalog_entry import CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = ()
