"""One pair of players probes, rehearses and plays the first batches of every budget."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from kvbarrier.compressors.plugin.template import template_text
from kvbarrier.errors import KVBarrierError
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import seats
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.protocols.players.template import Life
from kvbarrier.runs import batches
from kvbarrier.runs.attack import attack
from kvbarrier.runs.results import Results

BUDGETS = (Fraction(1, 4), Fraction(1, 2), Fraction(1))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lives of players that were begun, in order."""
    roles = []
    begin = seats.Place.begin

    def noted(place: seats.Place) -> Life:
        roles.append(place.role)
        return begin(place)

    monkeypatch.setattr(seats.Place, "begin", noted)
    return roles


def play(folder: Path, **options: object) -> Results:
    (folder / "mine.py").write_text(template_text())
    store = Results()
    attack(str(folder / "mine.py"), instance=Index(64, 16, keys="hypercube"), store=store,
           isolation="process", limits=Limits(20), **options)  # fmt: skip
    return store


def test_three_budgets_take_one_alice_and_one_bob(tmp_path: Path, started: list[str]) -> None:
    store = play(tmp_path, budgets=BUDGETS, messages=1)
    assert started == ["Alice", "Alice", "Bob"]  # two lives of hers, since streams are cut
    assert len(store.rows) == 3
    assert len({row.key for row in store.rows}) == 3  # a fresh one for each
    assert [row.failed for row in store.rows] == [(None,)] * 3


def test_a_built_in_in_processes_is_played_by_one_pair_too(started: list[str]) -> None:
    store = Results()
    attack("quantized", params={"bits": 2}, instance=Index(64, 16, keys="hypercube"), store=store,
           budgets=BUDGETS, messages=32, isolation="process", limits=Limits(20))  # fmt: skip
    assert len(store.rows) == 2 * len({row.cell for row in store.rows}) == 6
    assert started == ["Alice", "Alice", "Bob"]
    assert {failed for row in store.rows for failed in row.failed} == {None}


def test_what_takes_long_is_shared_by_several_pairs(
    tmp_path: Path, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "START_SECONDS", 1e-6)
    store = play(tmp_path, budgets=BUDGETS, messages=1, workers=2)
    assert sorted(started) == ["Alice"] * 4 + ["Bob"] * 2
    assert len({row.key for row in store.rows}) == 3


def test_what_fails_in_a_rehearsal_ends_before_any_secret(
    tmp_path: Path, started: list[str]
) -> None:
    # Bob gets through the dummy stream of 64 tokens and fails on questions of the game.
    text = "def next_outputs(self, Q, K, V):\n        assert len(Q) < 3, 'too many'"
    broken = template_text().replace("def next_outputs(self, Q, K, V):", text)
    (tmp_path / "broken.py").write_text(broken)
    store = Results()
    with pytest.raises(KVBarrierError, match=r"failed in a rehearsal: Bob .*too many"):
        attack(str(tmp_path / "broken.py"), instance=Index(64, 16, keys="hypercube"), store=store,
               budgets=BUDGETS, messages=1, isolation="process", limits=Limits(20))  # fmt: skip
    assert started == ["Alice"]
    assert store.rows == []
