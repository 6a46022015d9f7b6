"""The soft certificate of a Bob who states his certainty: ``soft_ledger`` on an attack.

A results file does not hold his certainty. Every batch is a pure function of its key, so the
batches are played once more and their messages scored in order. A compressor that is not
deterministic is scored on this second play, which is an equally valid experiment.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..protocols.evidence.ledger import Ledger
from ..protocols.evidence.power import largest
from ..protocols.evidence.soft_ledger import soft_ledger
from ..protocols.game.index_game import play_batch
from ..protocols.players.isolation import Limits
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
    return soft_ledger(counts, charged, secret_bits=outcome.rows[0].secret)


def as_dict(ledger: Ledger, outcome: CellOutcome) -> dict[str, Any]:
    """Plain data, in bits; ``could_catch`` as in the hard ledger, for a Bob who is always as sure.

    A cheat's scores then fill two bins, one for each bit that he says.
    """
    asked = np.array([total for row in outcome.rows for total in row.asked])
    charged = [bits for row in outcome.rows for bits in row.charged]

    def caught(error: float) -> bool:
        wrong = np.rint(error * asked / 2)
        right = asked // 2 - wrong
        counts = np.array([[right, wrong], [wrong, right]]).transpose(2, 0, 1)
        cheat = soft_ledger(list(counts), charged, secret_bits=outcome.rows[0].secret)
        return cheat.verdict == "impossible"

    return {
        "verdict": ledger.verdict,
        "surprise_bits": ledger.surprise,
        "peak_bits": ledger.peak,
        "blind": ledger.blind,
        "could_catch": {"error": largest(caught, 0.5)},
    }
