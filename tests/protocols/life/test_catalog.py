"""Our own compressors keep the law, and the law is seen to be broken where it should be."""

from __future__ import annotations

import numpy as np
import planted_caches as planted
import pytest
from kvbarrier.compressors import catalog
from kvbarrier.compressors.plugin.adapters import adapt
from kvbarrier.compressors.plugin.operations import operations_of
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BadInput
from kvbarrier.protocols.check.subject import Subject
from kvbarrier.protocols.life.examine import examine, hard_for
from kvbarrier.protocols.life.perform import Stage
from kvbarrier.protocols.life.schedule import Schedule

CUT = [name for name in catalog.names() if not resolve(name).knows_keys]


def subject(name, params=None):
    return Subject(resolve(name, params or {}))


@pytest.mark.parametrize("name", CUT)
def test_every_entry_of_the_catalog_keeps_the_law(name):
    life = examine(lambda shape: subject(name).build(shape), each=1, random=5)
    assert [one.sentence for one in life.faults] == []
    if not subject(name).build().streaming:
        assert sum(life.tried.values()) == 0


@pytest.mark.parametrize(
    ("name", "params", "can"),
    [
        ("exact", {}, ("crop", "drop", "fork", "reset", "shift")),
        ("exact", {"dtype": "fp8"}, ("crop", "drop", "fork", "reset", "shift")),
        ("sliding-window", {"window": 12}, ("crop", "fork", "reset", "shift")),
        ("streaming-llm", {}, ("fork", "reset", "shift")),
    ],
)
def test_the_exact_cache_and_the_windows_have_operations(name, params, can):
    one = subject(name, params)
    assert operations_of(one.build()) == can
    life = examine(lambda shape: one.build(shape), random=200, seconds=120)
    assert life.whole
    assert [fault.sentence for fault in life.faults] == []
    refusals = [one.sentence for one in life.refusals]
    if params.get("window"):
        assert len(refusals) == 1
        assert "crop raised ValueError: the window of 12 is full" in refusals[0]
    else:
        assert refusals == []


def test_a_fault_planted_in_our_own_window_is_seen(monkeypatch):
    from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow

    monkeypatch.setattr(SlidingWindow, "crop", SlidingWindow.keep_first)
    one = subject("sliding-window", {"window": 12})
    life = examine(lambda shape: one.build(shape))
    assert life.faults
    assert "crop" in life.faults[0].sentence


def test_what_is_declared_lost_is_not_held_against_it():
    last = lambda n, after: np.arange(n) >= n + after - planted.WINDOW  # noqa: E731
    hard = hard_for(40)[0]
    schedule = Schedule.of("append 20, crop 18")
    # The last 12 of 18 are tokens 6 to 17, Bob's own included 7 to 17. The ring held 8 to 19.
    plain = Stage(adapt(planted.WrappedCrop), hard).perform(schedule)
    assert plain.outcome.kind == "kept"  # 4 spare rows: 2 can be taken back
    far = Stage(adapt(planted.WrappedCrop), hard).perform(Schedule.of("append 20, crop 12"))
    assert far.outcome.kind == "lost"
    assert set(far.outcome.lost) == {1, 2, 3}  # overwritten by 17, 18, 19
    newest = Stage(
        adapt(planted.WrappedCrop),
        hard,
        declared=lambda n, after: last(n, after) & (np.arange(n) > 3),
    ).perform(Schedule.of("append 20, crop 12"))
    assert newest.outcome.lost == ()


def test_an_operation_that_the_class_lacks_is_one_sentence():
    stage = Stage(adapt(planted.Ring), hard_for(40)[0])
    with pytest.raises(BadInput, match=r"Ring has no drop, .* write drop\(begin, end\), or take"):
        stage.perform(Schedule.of("append 5, drop 1 2"))
    with pytest.raises(BadInput, match="Ring has no select"):
        stage.perform(Schedule.of("append 5", 2))
    with pytest.raises(BadInput, match="feeds 41 tokens and there are 40 rows"):
        stage.perform(Schedule.of("append 41"))


def test_an_examination_says_what_was_tried_and_what_not():
    life = examine(adapt(planted.Ring), random=3, each=1)
    assert "9 schedules of up to 40 tokens were tried" in life.sentence
    assert "3 of them random" in life.sentence
    assert "does not have them: drop, select, fork, shift" in life.sentence
    ticks = iter(range(1000))
    late = examine(adapt(planted.Ring), seconds=4, clock=lambda: next(ticks))
    assert not late.whole
    assert late.sentence.endswith("Time was up before all that was planned was tried.")
