"""Eviction: whole tokens are kept or dropped, by what queries attended to."""

from __future__ import annotations

from ..catalog_entry import CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = ()
