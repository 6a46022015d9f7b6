"""From an attack to its certificate: the counts of every cell, and the hash of its peak message.

``protocols.certificates.counts`` says what such a document proves. A batch keeps no messages,
so Alice writes the one with a cell's largest surprise again, with the key of its batch. If it
differs, the compressor is not deterministic and its results cannot be certified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import BadInput
from ..protocols.certificates.counts import KIND, MOST_CELLS, MOST_MESSAGES
from ..protocols.certificates.document import sealed
from ..protocols.certificates.verify import Verdict, write_certificate
from ..protocols.evidence.ledger import surprise_bits
from ..protocols.game.cell import Cell
from ..protocols.game.index_game import Sent, written
from ..protocols.players.isolation import Limits
from ..reductions.intervals import surprise_bits_floor
from .batches import one_blas_thread
from .rows import BatchRow
from .runner import CellOutcome


def write_attack_certificate(
    path: Path, outcomes: Sequence[CellOutcome], results: Path, limits: Limits | None = None
) -> Verdict:
    """Certify the results of an attack, and say what the certificate proves.

    ``results``: the file with the rows; the certificate names it, so that they can be replayed.
    Raises BadInput if there are no results, if they are too many for a certificate, and for a
    compressor that is not deterministic.
    """
    return write_certificate(path, attack_certificate(outcomes, results.name, limits))


def attack_certificate(
    outcomes: Sequence[CellOutcome], results: str, limits: Limits | None = None
) -> dict[str, Any]:
    """The document of :func:`write_attack_certificate`."""
    played = [outcome for outcome in outcomes if outcome.rows]
    if not played:
        raise BadInput("There is no complete batch 0 to certify: run kvbarrier attack first.")
    most = max(sum(row.size for row in outcome.rows) for outcome in played)
    if len(played) > MOST_CELLS or most > MOST_MESSAGES:
        raise BadInput(
            f"A certificate holds at most {MOST_CELLS} cells of {MOST_MESSAGES} messages each, "
            f"not {len(played)} of up to {most}: play fewer."
        )
    if not (1 <= len(results) <= 255 and results.isascii() and results.isprintable()):
        raise BadInput(
            "A certificate names the results file in at most 255 printable ASCII characters: "
            "rename the file."
        )
    cells = [_cell(outcome, limits) for outcome in played]
    return sealed(KIND, f"kvbarrier {__version__}", {"results": results, "cells": cells})


def _cell(outcome: CellOutcome, limits: Limits | None) -> dict[str, Any]:
    rows, first = outcome.rows, outcome.rows[0]
    asked, charged, wrong = (
        np.cumsum([x for row in rows for x in getattr(row, name)], dtype=np.int64)
        for name in ("asked", "charged", "wrong")
    )
    # Any message is a sound one to look after, so a float may choose it.
    peak = int(np.argmax(surprise_bits(asked, charged, wrong)))

    def surprise(t: int) -> int:
        return surprise_bits_floor(int(asked[t]), int(charged[t]), int(wrong[t]))

    return {
        "cell": first.cell,
        "instance": first.instance,
        "source": first.source,
        "spec": first.spec,
        "isolation": sorted({row.isolation for row in rows}),
        "secret_bits": first.secret,
        "batches": [
            {
                "batch": row.batch,
                "key": row.key,
                "asked": list(row.asked),
                "charged": list(row.charged),
                "wrong": list(row.wrong),
                "failed": [int(sentence is not None) for sentence in row.failed],
            }
            for row in rows
        ],
        "messages": len(asked),
        "asked_bits": int(asked[-1]),
        "charged_bits": int(charged[-1]),
        "wrong_bits": int(wrong[-1]),
        "surprise_bits": surprise(-1),
        "peak": {
            "message": peak + 1,
            "surprise_bits": surprise(peak),
            "sha256": _hash(outcome, peak, limits),
        },
    }


def _hash(outcome: CellOutcome, message: int, limits: Limits | None) -> str:
    """SHA-256 of a message, numbered in its cell, written by Alice once more; or "failed"."""
    row, at = _find(outcome.rows, message)
    if row.failed[at] is not None:
        return "failed"
    sent = _alice_again(outcome.cell, row, at, limits)
    if isinstance(sent, str) or sent.charged != row.charged[at]:
        now = sent if isinstance(sent, str) else f"it is charged {sent.charged} bits"
        raise BadInput(
            f"message {message + 1} of cell {row.cell} ({row.compressor}) was charged "
            f"{row.charged[at]} bits, and played again: {now.rstrip('.')}; only deterministic "
            "results can be certified."
        )
    return hashlib.sha256(sent.message.open()).hexdigest()


def _find(rows: Sequence[BatchRow], message: int) -> tuple[BatchRow, int]:
    for row in rows:
        if message < row.size:
            return row, message
        message -= row.size
    raise IndexError("no such message")


def _alice_again(cell: Cell, row: BatchRow, at: int, limits: Limits | None) -> Sent | str:
    """What she hands over for message ``at`` of a row's batch: those before it come first."""
    first = row.batch * cell.batch_size
    numbers = range(first, first + at + 1)
    with one_blas_thread(row.isolation):
        return written(cell, row.master_key, numbers, row.isolation, limits)[-1]
