"""The soft certificate of a Bob who says how sure he is: ``protocols.soft_ledger`` on an attack.

How sure he was is no part of a results file. Every batch is a pure function of its key, so the
batches are played once more and their messages scored in order; what a compressor that is not
deterministic does then is scored as it is then, which is as good an experiment.
"""

from __future__ import annotations

from typing import Any

from ..protocols.index_game import play_batch
from ..protocols.isolation import Limits
from ..protocols.ledger import Ledger
from ..protocols.soft_ledger import ledger_of_counts
from .batches import one_blas_thread
from .runner import CellOutcome


def soft_of(outcome: CellOutcome, limits: Limits | None = None) -> Ledger:
    """The soft ledger of one cell with a linear Bob.

    Raises what ``play_batch`` raises.
    """
    counts, charged = [], []
    for row in outcome.rows:
        with one_blas_thread(row.isolation):
            played = play_batch(outcome.cell, row.master_key, row.batch, row.isolation, limits)
        counts += [record.soft for record in played.records]
        charged += [record.charged_bits for record in played.records]
    return ledger_of_counts(counts, charged, secret_bits=outcome.rows[0].secret)


def as_dict(ledger: Ledger) -> dict[str, Any]:
    """Plain data, in bits."""
    return {
        "verdict": ledger.verdict,
        "surprise_bits": ledger.surprise,
        "peak_bits": ledger.peak,
        "blind": ledger.blind,
    }
