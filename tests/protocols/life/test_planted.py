"""Every planted fault is found, named and shrunk; no healthy cache is accused."""

from __future__ import annotations

import re
import time

import planted_caches as planted
import pytest
from kvbarrier.compressors.plugin.adapters import adapt
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.protocols.life.examine import examine

HEADS = Shape(tokens=1, d_k=16, d_v=16, layers=2, heads=2, kv_heads=2)


@pytest.mark.parametrize("cls", planted.PLANTED, ids=lambda cls: cls.__name__)
def test_each_fault_is_found_named_and_shrunk(cls):
    kind, operation, sentence = planted.PLANTED[cls]
    shape = HEADS if cls is planted.OneHead else None
    life = examine(adapt(cls), shape, seconds=60)
    found = [(one.performance.outcome.kind, one.operation, one.sentence) for one in life.faults]
    assert len(found) == 1, found
    assert re.fullmatch(kind, found[0][0]), found
    assert found[0][1].split()[0] == operation, found
    assert re.search(sentence, found[0][2]), found
    # As short as it gets: fewer than five operations, however long the schedule was.
    assert len(life.faults[0].performance.schedule.operations) <= 5, found


@pytest.mark.parametrize("cls", planted.HEALTHY, ids=lambda cls: cls.__name__)
def test_healthy_twins_are_silent_on_two_hundred_random_schedules(cls):
    life = examine(adapt(cls), random=200, each=5, seconds=120)
    assert life.whole
    assert life.tried["random"] == 200
    assert [one.sentence for one in life.faults] == []
    refused = {one.operation.split()[0] for one in life.refusals}
    assert refused <= ({"crop"} if cls is planted.Ring else set())


@pytest.mark.parametrize("cls", [planted.WrappedCrop, planted.RestoredFromZero])
def test_a_window_longer_than_the_schedules_is_reached_by_its_size(cls, monkeypatch):
    monkeypatch.setattr(planted, "WINDOW", 128)
    assert examine(adapt(cls), random=10).faults == ()
    life = examine(adapt(cls), random=0, sizes=(128,), seconds=60)
    assert life.longest == 128 + 64
    assert re.fullmatch(r"append 1\d\d, (crop \d+|save)", str(life.faults[0].performance.schedule))


def test_a_healthy_window_as_long_is_silent(monkeypatch):
    monkeypatch.setattr(planted, "WINDOW", 128)
    assert examine(adapt(planted.Ring), random=0, sizes=(128,), seconds=60).faults == ()


def test_a_small_cache_is_examined_in_two_seconds():
    began = time.process_time()
    examine(adapt(planted.Static), random=20)
    assert time.process_time() - began < 4  # 2 s on an idle machine
