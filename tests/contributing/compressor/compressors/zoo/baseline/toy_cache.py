"""A toy: the whole cache under another name."""

from __future__ import annotations

from ...catalog_entry import CatalogEntry
from .exact import Exact


class ToyCache(Exact):
    """Keeps everything, as ``exact`` does.

    Args:
        dtype: fp32, fp16, bf16 or fp8; by default the widest of fp32, fp16, fp8 in the budget.
    """

    name = "toy-cache"


ENTRY = CatalogEntry(
    ToyCache,
    summary="the whole cache",
    source="a toy",
    budgets="1/2 in fp8, 1 in fp16, 2 in fp32",
)
