"""Merging and low rank: several tokens, layers or dimensions share what is kept."""

from __future__ import annotations

from ..catalog_entry import CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = ()
