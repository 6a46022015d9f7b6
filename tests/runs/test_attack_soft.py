"""The soft certificate of an attack with the linear Bob."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.protocols.evidence.soft_ledger import EDGES, bin_of, counts_by_bin
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.coins import COMMITTED_KEYS
from kvbarrier.protocols.game.index_game import play_batch
from kvbarrier.protocols.game.instances import Index, LinearIndex
from kvbarrier.runs.attack import attack

LINEAR = LinearIndex(n=32, d=16, eta=None, gamma=0.01)
KEY = COMMITTED_KEYS["experiments"]
# Counts nothing and charges nothing: what it knows it keeps where Bob finds it.
CHEAT = """
from kvbarrier.compressors.plugin.contract import Compressor
import numpy as np

MEMORY = {}


class Cheat(Compressor):
    message_bytes = 0

    def __init__(self, shape, budget_bits=None, seed=0, public=None):
        super().__init__(shape, budget_bits, seed, public)
        self.rows = MEMORY.setdefault(seed, [])

    def append(self, q, k, v):
        self.rows.append((k, v))

    def save(self):
        return b""

    def restore(self, message):
        pass

    def next_outputs(self, Q, K, V):
        keys, values = (np.array(part) for part in zip(*self.rows[-32:], strict=True))
        scores = np.concatenate([Q @ keys.T, (Q * K).sum(axis=1, keepdims=True)], axis=1)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        total = weights[:, :-1] @ values + weights[:, -1:] * V
        return (total / weights.sum(axis=1, keepdims=True)).astype(np.float32)

    def attend(self, q):
        raise NotImplementedError
"""


def test_counts_by_bin_are_what_the_scores_say() -> None:
    rng = np.random.default_rng(5)
    x = rng.integers(0, 2, 300)
    score = 2 * x - 1 + rng.normal(0, 1.5, 300)
    edges = np.array(EDGES)
    table = np.zeros((len(edges) + 2, 2), dtype=np.int64)
    for s, bit in zip(score, x, strict=True):
        table[(edges <= s).sum(), bit] += 1
    assert (counts_by_bin(bin_of(score), x, len(table)) == table).all()


def test_every_asked_bit_is_in_a_bin_and_playing_again_gives_it_again() -> None:
    cell = Cell(LINEAR, "quantized", (("bits", 1),), batch_size=3)
    once, again = (play_batch(cell, KEY, 0, "inline").records for _ in range(2))
    assert once == again
    for record in once:
        assert sum(map(sum, record.soft)) == record.asked == 512
        # What he reads as 0 lies below the edge 0, and the wrong bits are the ones there.
        low = record.soft[: EDGES.index(0.0) + 1]
        high = record.soft[EDGES.index(0.0) + 1 :]
        assert sum(ones for _, ones in low) + sum(zeros for zeros, _ in high) == record.wrong


def test_a_threshold_bob_says_nothing_of_it() -> None:
    cell = Cell(Index(n=32, d=16, eta=None, gamma=0.01), "exact", batch_size=1)
    assert play_batch(cell, KEY, 0, "inline").records[0].soft == ()


def test_an_honest_cache_is_not_excluded_and_a_leak_is(tmp_path: Path) -> None:
    report = attack("quantized", instance=LINEAR, params={"bits": 4}, messages=3,
                    budgets=[Fraction(1, 2)])  # fmt: skip
    [point] = report.points
    assert point["soft"]["verdict"] == "not-excluded"
    assert point["soft"]["could_catch"]["error"] is None  # more bits than the secret has
    assert not report.impossible
    path = tmp_path / "cheat.py"
    path.write_text(CHEAT)
    caught = attack(f"{path}:Cheat", instance=LINEAR, messages=3, isolation="inline")
    assert {point["soft"]["verdict"] for point in caught.points} == {"impossible"}
    for point in caught.points:
        # Two bins cost no more than the counts of right and wrong, and a Laplace mixture no less.
        soft, hard = (point[key]["could_catch"]["error"] for key in ("soft", "ledger"))
        assert soft == pytest.approx(hard, abs=0.02)
    assert caught.impossible
