"""Cells, a fake game and rows for the tests of the store and the runner."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from kvbarrier.protocols.evidence.record import MessageRecord
from kvbarrier.protocols.evidence.row_counts import text_of
from kvbarrier.protocols.game.cell import Batch, Cell
from kvbarrier.protocols.game.coins import COMMITTED_KEYS
from kvbarrier.protocols.game.index_game import BatchRecord
from kvbarrier.protocols.game.instances import instance_of
from kvbarrier.runs.batches import Task, row_of
from kvbarrier.runs.rows import BatchRow

SOURCE = "feedc0de"


def fake_play(cell: Cell, key: bytes, batch: int, isolation: str, limits: Any) -> BatchRecord:
    """A game whose counts are hashes of (key, instance, target, message): deterministic, no maths.

    The target ``guess`` has half of the bits wrong, ``fails`` fails every third message, any other
    has up to 2 wrong bits in 32 a bucket.
    """
    n, d = cell.instance.n, cell.instance.d
    asked = (n // 16 * d,) * 16
    records = []
    for message in range(batch * cell.batch_size, (batch + 1) * cell.batch_size):
        text = key + f"{cell.instance.id} {cell.target} {cell.budget} {message}".encode()
        noise = hashlib.shake_256(text).digest(17)
        base = asked[0] // 2 if cell.target == "guess" else 0
        wrong = tuple(base + byte % 3 for byte in noise[:16])
        failed = "Alice raised: no." if cell.target == "fails" and message % 3 == 0 else None
        # Two rows a bucket share its wrong bits, the first of them one more.
        by_row = text_of([count for w in wrong for count in ((w + 1) // 2, w // 2)])
        total = sum(wrong)
        by_channel = [total // d + (c < total % d) for c in range(d)]
        by_value = [total // 3, total - total // 3]
        by_place = text_of(by_channel), text_of([total]), text_of(by_value)
        charged = 64 if failed else 1000 + noise[16]
        records.append(
            MessageRecord(
                wrong, asked, charged, 120, failed, wrong_by_row=by_row,
                wrong_by_place=None if failed else by_place,
            )
        )  # fmt: skip
    return BatchRecord(tuple(records), 0.25, isolation, True, SOURCE)


def make_cell(target: str = "exact", budget: str | None = "1/4", **change: Any) -> Cell:
    size = change.pop("batch_size", 4)
    instance = instance_of({"n": 32, "d": 16} | change)
    return Cell(instance, target, budget=Fraction(budget) if budget else None, batch_size=size)


def make_row(cell: Cell, batch: int = 0, key: str = "experiments", **change: Any) -> BatchRow:
    record = fake_play(cell, COMMITTED_KEYS[key], batch, "inline", None)
    row = row_of(Task(Batch(cell, COMMITTED_KEYS[key], batch), SOURCE, key), record)
    where = {"versions": '{"numpy":"2.0"}', "host": '{"cpu":"a, \\"quoted\\" one"}'}
    return replace(row, **(where | change))


@pytest.fixture(name="play")
def _play() -> Callable[..., BatchRecord]:
    return fake_play


@pytest.fixture(name="cell")
def _cell() -> Callable[..., Cell]:
    return make_cell


@pytest.fixture(name="row")
def _row() -> Callable[..., BatchRow]:
    return make_row
