"""From results rows to the map: counts by place, readings, and honest caches through the game."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.protocols.game.cell import Batch, Cell
from kvbarrier.protocols.game.coins import COMMITTED_KEYS, fresh_key
from kvbarrier.protocols.game.index_game import play_batch
from kvbarrier.protocols.game.instances import Index, SlidingWindow
from kvbarrier.runs.batches import Task, row_of
from kvbarrier.runs.lost import counts_by_place, losses_of, map_of, readings_of
from kvbarrier.runs.results import read_results, write_results
from kvbarrier.runs.rows import BatchRow

KEY = COMMITTED_KEYS["experiments"]


def played(cell: Cell, key: bytes = KEY, batch: int = 0) -> BatchRow:
    """One batch, inline."""
    record = play_batch(cell, key, batch, "inline")
    named = "experiments" if key == KEY else key.hex()
    return row_of(Task(Batch(cell, key, batch), record.source, named), record)


def window(**change: Any) -> tuple[Cell, BatchRow]:
    """A sliding window that keeps the newest half of 64 tokens, two layers of two heads."""
    instance = Index(n=64, d=16, keys="hypercube", **{"layers": 2, "heads": 2} | change)
    cell = Cell(instance, "sliding-window", budget=Fraction(1, 2), batch_size=8)
    return cell, played(cell)


def test_counts_by_place_are_the_readings_counted() -> None:
    cell, row = window()
    counts = counts_by_place(cell, [row])
    readings = readings_of(cell, [row])
    wrong = np.stack([one.wrong for one in readings])  # message, token, layer, head, channel
    secret = np.stack([one.secret for one in readings])
    assert wrong.sum(axis=(1, 2, 3, 4)).tolist() == list(row.wrong)
    assert counts["token"] == wrong.sum(axis=(0, 2, 3, 4)).tolist()
    assert counts["layer"] == wrong.sum(axis=(0, 1, 3, 4)).tolist()
    assert counts["head"] == wrong.sum(axis=(0, 1, 2, 4)).tolist()
    assert counts["channel"] == wrong.sum(axis=(0, 1, 2, 3)).tolist()
    assert counts["value"] == [int(wrong[secret == bit].sum()) for bit in (0, 1)]
    assert counts["question"] == counts["token"]
    assert counts["asked_bits"] == 8 * 64 * 64
    # Messages 0 and 4 are cut: their tokens lie before or after, the other six are whole.
    cut = counts["cut"]
    assert [one.cut is None for one in readings] == [False, *[True] * 3, False, *[True] * 3]
    assert cut["whole"][1] == 6 * 64 * 64
    assert cut["before"][1] == 64 * sum(one.cut or 0 for one in readings)
    assert sum(wrong_bits for wrong_bits, _ in cut.values()) == sum(row.wrong)


def test_a_window_loses_all_but_the_newest_tokens() -> None:
    cell, row = window()
    found = map_of(cell, [row])
    assert found is not None
    # Half of the 16-bit cache is 32 tokens, and the newest of them is Bob's own.
    assert found.tokens is not None
    assert list(found.tokens.numbers) == list(range(33))
    assert (found.heads, found.layers, found.channels) == (None, None, None)


def test_rows_of_a_window_are_its_newest_tokens() -> None:
    instance = SlidingWindow(n=60, d=16, keys="jl", window=25)
    cell = Cell(instance, "zero", batch_size=4)
    row = played(cell)
    for one in readings_of(cell, [row]):
        # W - 1 = 24 rows of the secret: tokens 36 to 59.
        assert one.tokens.tolist() == list(range(36, 60))
        assert one.n == 60


def test_a_file_keeps_the_counts_and_not_what_was_read(tmp_path: Path) -> None:
    cell, row = window()
    write_results(tmp_path / "r.csv", [row])
    (back,) = read_results(tmp_path / "r.csv")
    assert counts_by_place(cell, [back]) == counts_by_place(cell, [row])
    assert map_of(cell, [back]) is losses_of(cell, [back]) is None


def test_counts_that_are_not_there_are_none() -> None:
    cell, row = window()
    counts = counts_by_place(cell, [replace(row, wrong_by_row=None, wrong_by_place=None)])
    places = ("token", "question", "channel", "layer", "head", "value", "cut")
    assert [counts[name] for name in places] == [None] * 7


def test_a_failed_message_is_marked_and_not_counted() -> None:
    cell, row = window()
    assert row.wrong_by_place is not None
    failed = replace(
        row, failed=("Alice raised.", *row.failed[1:]), said=(None, *(row.said or ())[1:])
    )
    counts = counts_by_place(cell, [failed])
    assert counts["failed"] == 1
    assert counts["asked_bits"] == 7 * 64 * 64
    assert sum(counts["token"]) == sum(row.wrong[1:])
    assert len(readings_of(cell, [failed])) == 7


def test_a_row_stays_compact() -> None:
    _, row = window(layers=1, heads=1)
    whole, bare = len(row.line()), len(replace(row, wrong_by_place=None).line())
    # 16 channels of at most "(264)", one head, two values: sums of the batch, not of each message.
    assert whole - bare < 16 * 5 + 40


HONEST = (
    ("exact", {}, "literal", None),
    ("quantized", {"bits": 2}, "rotated", None),
    ("kivi", {}, "rotated", None),
    ("turboquant", {}, "rotated", None),
    ("reservoir", {}, "literal", Fraction(1, 4)),
)


def named(target: str, params: Any, basis: str, budget: Fraction | None) -> str | None:
    """What the map names in four messages of an honest cache, under a fresh key."""
    instance = Index(n=128, d=32, keys="jl", basis=basis)
    cell = Cell(instance, target, params, budget, batch_size=4)
    key = fresh_key()
    found = map_of(cell, [played(cell, key)])
    assert found is not None
    return None if found.kind in ("none", "diffuse") else f"{key.hex()}: {found.sentence}"


@pytest.mark.parametrize(("target", "params", "basis", "budget"), HONEST)
def test_nothing_is_named_in_an_honest_cache(
    target: str, params: Any, basis: str, budget: Fraction | None
) -> None:
    assert [named(target, params, basis, budget) for _ in range(2)] == [None] * 2


@pytest.mark.soak
@pytest.mark.parametrize(("target", "params", "basis", "budget"), HONEST)
def test_nothing_is_named_in_two_hundred_honest_runs(
    target: str, params: Any, basis: str, budget: Fraction | None
) -> None:
    said = [named(target, params, basis, budget) for _ in range(200)]
    # The level is .99: two of 200 may have something named.
    assert sum(one is not None for one in said) <= 2, [one for one in said if one]


def test_what_h2o_evicts_is_named_and_is_evicted() -> None:
    instance = Index(n=128, d=32, keys="jl")
    cell = Cell(instance, "h2o", budget=Fraction(1, 4), batch_size=4)
    row = played(cell)
    found = map_of(cell, [row])
    assert found is not None
    assert found.tokens is not None
    # Alice's queries are 0, so all old tokens are as heavy: the same are kept in every message.
    wrong = np.array(counts_by_place(cell, [row])["token"])
    assert set(np.flatnonzero(wrong).tolist()) == set(found.tokens.numbers)
