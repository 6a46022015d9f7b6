"""Several cells, one pair of players: as if each had been played by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.game.cell import Batch, Cell
from kvbarrier.protocols.game.index_game import BatchRecord, play_all, play_batch
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players.isolation import Limits

INSTANCE = Index(n=16, d=8, keys="hypercube")
LIMITS = Limits(seconds=20.0)
PLUGINS = '''
import os
import numpy as np


class Keeps:
    """Keeps all; `forget` makes it keep nothing, `die` ends its process at the first append."""

    def __init__(self, shape, forget=False, die=False, refuse=False):
        if refuse:
            raise RuntimeError("not today")
        self.forget, self.die, self.K, self.V = forget, die, [], []

    def append(self, q, k, v):
        if self.die and np.any(v > 0) and len(self.K) > 2 and os.environ:
            os.abort()
        if not (self.forget and np.any(k)):
            self.K.append(k)
            self.V.append(v)

    def attend(self, q):
        w = np.exp(np.array(self.K) @ q)
        return (w @ np.array(self.V) / w.sum()).astype(np.float32)
'''


@pytest.fixture
def target(tmp_path: Path) -> str:
    path = tmp_path / "keeps.py"
    path.write_text(PLUGINS)
    return f"{path}:Keeps"


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_each_cell_is_as_when_played_alone(target: str, isolation: str) -> None:
    cells = [
        Cell(INSTANCE, target, batch_size=2),
        Cell(INSTANCE, target, (("forget", True),), batch_size=2),
        Cell(INSTANCE, "exact", batch_size=2),
    ]
    keys = [bytes([k]) * 32 for k in range(3)]
    batches = [Batch(cell, key, 0) for cell, key in zip(cells, keys, strict=True)]
    together = play_all(batches, isolation, LIMITS)
    for cell, key, played in zip(cells, keys, together, strict=True):
        assert isinstance(played, BatchRecord)
        assert played.records == play_batch(cell, key, 0, isolation, LIMITS).records
    whole, nothing, _ = together
    assert whole.records[0].wrong == 0
    assert nothing.records[0].wrong > 30


def test_who_cannot_be_built_or_dies_leaves_the_others_alone(target: str) -> None:
    settings = [{"refuse": True}, {}, {"die": True}, {"nosuch": 1}, {}]
    cells = [Cell(INSTANCE, target, tuple(s.items()), batch_size=2) for s in settings]
    keys = [bytes([k]) * 32 for k in range(5)]
    batches = [Batch(cell, key, 0) for cell, key in zip(cells, keys, strict=True)]
    refused, first, died, unknown, last = play_all(batches, "process", LIMITS)
    assert isinstance(refused, PluginFailure)
    assert "not today" in str(refused)
    assert isinstance(unknown, BadInput)
    assert isinstance(died, PluginFailure)
    assert "SIGABRT" in str(died)
    assert [r.wrong for played in (first, last) for r in played.records] == [0, 0, 0, 0]
