"""Quantisation: every token, at a few bits a number."""

from __future__ import annotations

from ..catalog_entry import CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = ()
