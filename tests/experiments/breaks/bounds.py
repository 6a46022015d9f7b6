"""Breaks of the claims about bounds that can be used."""

from __future__ import annotations

from breaks.tables import Break, column
from kvbarrier.experiments.bounds import measure as bounds
from kvbarrier.experiments.bounds import precision as bounds_precision

BREAKS: dict[str, Break] = {
    "bounds.scales": column(bounds.SETS, "logit_range", lambda scale: scale + 0.02),
    "bounds.verified": column(bounds.SETS, "misread_outside", lambda bits: bits - 1),
    "bounds.range": column(bounds.RANGE, "logit_range", lambda nats: 0.9 * nats),
    "bounds.guarantee": column(bounds.MODELS, "compression_kv", lambda factor: factor * 2),
    "bounds.precision": column(bounds_precision.LAW, "levels", lambda levels: levels + 1),
    "bounds.caches": column(bounds_precision.CACHES, "mse", lambda mse: mse / 1000),
    "bounds.alphabets": column(bounds_precision.GAMES, "misread_below", lambda rows: rows - 1),
    "bounds.payload": column(bounds_precision.PAYLOAD, "wrong_in_keys", lambda wrong: wrong + 1),
}
