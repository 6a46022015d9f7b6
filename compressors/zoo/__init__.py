"""The words about every compressor that ships with us, by family; nothing is imported for them."""

from __future__ import annotations

from ..catalog_entry import CatalogEntry
from . import (
    baseline as baselines,
)
from . import (
    control as controls,
)
from . import (
    eviction,
    low_rank,
    paper,
    quantisation,
)
from . import (
    pattern as patterns,
)
from . import (
    sketch as sketches,
)

#: family -> its entries, in the order of the catalog
FAMILIES: dict[str, tuple[CatalogEntry, ...]] = {
    "baseline": baselines.ENTRIES,
    "paper": paper.ENTRIES,
    "eviction": eviction.ENTRIES,
    "quantisation": quantisation.ENTRIES,
    "low rank": low_rank.ENTRIES,
    "sketch": sketches.ENTRIES,
    "pattern": patterns.ENTRIES,
    "control": controls.ENTRIES,
}

#: the families of other people's algorithms, each attacked at every budget that it can meet
ZOO = ("eviction", "quantisation", "low rank", "sketch", "pattern")
