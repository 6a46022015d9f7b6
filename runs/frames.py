"""Results rows as a pandas table, for figures and notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .rows import BatchRow

if TYPE_CHECKING:
    import pandas as pd

SHARED = ("instance", "cell", "source", "batch", "key", "isolation", "streaming", "secret")


def frame(rows: Iterable[BatchRow]) -> pd.DataFrame:
    """A pandas table, one line a *message*, for figures and notebooks.

    Columns: instance, cell, source, batch, message (its global index), key, isolation, streaming,
    wrong, asked, secret, charged (bits), payload (bytes), failed, seconds (the batch's, shared
    out), wrong_by_age (16-tuple), then the cell's spec: target, budget, params, batch_size, and
    the instance's own (n, d, keys, ...).
    """
    import pandas as pd

    return pd.DataFrame([record for row in rows for record in _records(row)])


def _records(row: BatchRow) -> Iterator[dict[str, Any]]:
    spec = row.spec_dict
    shared = {name: getattr(row, name) for name in SHARED}
    described = spec.pop("instance") | spec
    for index, message in enumerate(row.messages()):
        yield shared | {
            "message": row.batch * row.size + index,
            "wrong": sum(message.wrong_by_age),
            "asked": sum(message.asked_by_age),
            "charged": message.charged_bits,
            "payload": message.payload_bytes,
            "failed": message.failed,
            "seconds": row.seconds / row.size,
            "wrong_by_age": message.wrong_by_age,
        } | described  # fmt: skip
