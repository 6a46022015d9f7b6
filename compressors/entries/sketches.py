"""Sketches and kernels: the attention output from a summary, a sample or a hash."""

from __future__ import annotations

from ..catalog_entry import CatalogEntry

ENTRIES: tuple[CatalogEntry, ...] = ()
