"""Cheats on the harness itself: a player that lies, halves that meet, batches that conspire.

Each is first shown to work where nothing is closed, as in ``test_cheats``. Budgets are 1/64 of the
cache, half as many bits as are secret, and 1/2, sixteen times as many.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import pytest
from kvbarrier.protocols.game import coins
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import play_batch, probe_construction
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import isolation, pair, seats
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.protocols.players.pair import Gate
from kvbarrier.runs.attack import attack
from kvbarrier.runs.results import Results

CHEATS = Path(__file__).parent / "cheats"
INSTANCE = Index(32, 16, keys="hypercube")
LIMITS = Limits(20, 512 << 20)
BUDGETS = [Fraction(1, 64), Fraction(1, 2)]

needs_namespaces = pytest.mark.skipif(
    not isolation.namespaces_available(), reason=f"{isolation.namespaces_problem()}"
)
apart = pytest.mark.parametrize(
    "where", ["bare process", "process", pytest.param("namespaces", marks=needs_namespaces)]
)
budgets = pytest.mark.parametrize("budget", BUDGETS, ids=str)


def play(thing, where, budget, monkeypatch, messages=5, key=None, **params):
    if where == "bare process":
        monkeypatch.setattr(seats, "landlock_available", lambda: False)
    kind = where.removeprefix("bare ")
    name = f"{thing}{where}{budget}{params}{os.getpid()}"
    key = key or hashlib.sha256(name.encode()).digest()
    cell = Cell(INSTANCE, f"{CHEATS}/{thing}", tuple(params.items()), budget, batch_size=messages)
    return play_batch(cell, key, 0, kind, LIMITS)


# -- halves that meet: messages 0 and 4 of 5 are cut ---------------------------------------------


def wrong_of(batch, budget):
    """Wrong bits of each message among the rows that the budget has room for, the oldest.

    1/64 is room for 16 rows of 32, which are buckets 0 to 7 of 16; else for all of them.
    """
    buckets = 8 if budget == BUDGETS[0] else 16
    return [sum(r.wrong_by_age[:buckets]) for r in batch.records]


@budgets
def test_halves_that_meet_work_where_nothing_is_closed(budget, monkeypatch):
    batch = play("halves.py:Halves", "inline", budget, monkeypatch, way="global")
    assert wrong_of(batch, budget) == [0] * 5
    assert (batch.isolation, batch.streaming) == ("inline", True)  # which the row admits


@apart
@budgets
@pytest.mark.parametrize("way", ["page", "home"])
def test_halves_do_not_meet(way, where, budget, monkeypatch):
    batch = play("halves.py:Halves", where, budget, monkeypatch, way=way)
    assert [r.failed for r in batch.records] == [None] * 5
    first, *whole, last = wrong_of(batch, budget)
    assert whole == [0] * 3
    # Of a row that is lost 8 of 16 bits are wrong: three rows lost are 24, give or take 3.5.
    assert first + last > 12


@pytest.mark.parametrize("where", ["inline", "process"])
def test_a_second_half_declares_what_the_first_one_declared(where, monkeypatch):
    way = "global" if where == "inline" else "page"
    batch = play("halves.py:LateHalf", where, BUDGETS[1], monkeypatch, way=way)
    for number, record in enumerate(batch.records):
        if where == "inline" and number in (0, 4):
            assert "message_bytes was 1 and is " in record.failed
            assert record.charged_bits == 64
        else:  # who cannot know the first half declares the same
            assert (record.failed, record.charged_bits) == (None, 8)


# -- players that lie ---------------------------------------------------------------------------


def test_nobody_names_himself_a_built_in(monkeypatch):
    target = f"{CHEATS}/patcher.py:BuiltIn"
    cell = Cell(INSTANCE, target, (), BUDGETS[1], batch_size=4)
    assert probe_construction(cell, "process", LIMITS).builtin is False
    store = Results()
    attack(target, instance=INSTANCE, store=store, messages=4, budgets=(BUDGETS[1],),
           isolation="process", limits=LIMITS)  # fmt: skip
    assert {len(row.key) for row in store.rows} == {64}  # fresh, and not the name of one


@apart
@budgets
def test_what_is_no_bytes_is_no_message(where, budget, monkeypatch):
    batch = play("patcher.py:NoBytes", where, budget, monkeypatch, messages=2)
    for record in batch.records:
        assert record.failed == (
            "Alice's host process broke the channel: its message is not bytes, or is too long."
        )
        assert record.charged_bits == 64
        assert record.wrong > 200


@pytest.mark.parametrize("thing", ["Chatter", "OutOfTurn"])
def test_a_wrong_frame_is_a_failed_message(thing, monkeypatch):
    batch = play(f"patcher.py:{thing}", "process", BUDGETS[1], monkeypatch, messages=2)
    for record in batch.records:
        assert record.failed.isprintable()
        assert len(record.failed) < 1100
        said = "Alice says: [2J" if thing == "Chatter" else "it sent other fields than message"
        assert said in record.failed
        assert record.charged_bits == 64


@pytest.mark.parametrize("where", ["inline", "bare process"])
@pytest.mark.parametrize("way", ["opening", "again", "playing"])
def test_nobody_ends_a_run_that_goes_badly_by_blaming_the_harness(
    way, where, monkeypatch, tmp_path
):
    if (way, where) == ("again", "inline"):
        pytest.skip("inline there is no host to start again")
    flag = str(tmp_path / "flag")
    batch = play("blamer.py:Blamer", where, BUDGETS[1], monkeypatch, messages=2, flag=flag, way=way)
    for record in batch.records:
        assert record.failed is not None
        assert record.charged_bits == 64


# -- batches that conspire ----------------------------------------------------------------------


def conspire(where, budget, monkeypatch):
    """Speaker's error where Holder is played at the same time."""
    junk = budget == BUDGETS[1]
    with ThreadPoolExecutor(2) as threads:
        holder = threads.submit(play, "relay.py:Holder", where, budget, monkeypatch, 1, junk=junk)
        batch = play("relay.py:Speaker", where, budget, monkeypatch, 1, junk=junk)
        assert holder.result().records[0].failed is None
    assert batch.records[0].failed is None
    return batch.records[0].wrong / batch.records[0].asked


class Open:
    def phase(self, side):
        return nullcontext()


def test_conspiring_works_where_nothing_is_closed(monkeypatch):
    monkeypatch.setattr(pair, "_GATE", Open())
    assert conspire("bare process", BUDGETS[0], monkeypatch) == 0


@apart
@budgets
def test_no_bob_answers_while_an_alice_lives(where, budget, monkeypatch):
    # Without a lock all bits are 0: half are wrong, 256 of 512 give or take 11.
    assert conspire(where, budget, monkeypatch) > 0.4


def relayed(where, budget, monkeypatch):
    """Wrong bits of a stream that is cut in the middle, where Holder is played at the same time."""
    keys = (os.urandom(32) for _ in range(1000))
    key = next(k for k in keys if coins.cut_point(k, INSTANCE.id, 0, 32) in range(12, 20))
    with ThreadPoolExecutor(2) as threads:
        holder = threads.submit(play, "relay.py:Holder", where, budget, monkeypatch, 1)
        batch = play("halves.py:Halves", where, budget, monkeypatch, 1, key, way="locks")
        assert holder.result().records[0].failed is None
    assert batch.records[0].failed is None
    return wrong_of(batch, budget)[0]


def test_halves_that_meet_in_another_batch_work_where_nothing_is_closed(monkeypatch):
    monkeypatch.setattr(pair, "_GATE", Open())
    assert relayed("bare process", BUDGETS[1], monkeypatch) == 0


@apart
@budgets
def test_halves_do_not_meet_in_another_batch(where, budget, monkeypatch):
    # At least 12 rows of 16 bits are lost: 96 wrong, give or take 7.
    assert relayed(where, budget, monkeypatch) > 50


def test_the_gate_lets_in_one_side_at_a_time_and_nobody_starves():
    gate, inside, seen = Gate(), [], []
    guard = threading.Lock()

    def turn(number):
        side = ("Alice", "Alice again", "Bob")[number % 3]
        for _ in range(40):
            with gate.phase(side):
                with guard:
                    inside.append(side)
                    seen.append(tuple(inside))
                time.sleep(0.0005)
                with guard:
                    inside.remove(side)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(turn, range(6), timeout=60))
    assert len(seen) == 240
    assert all(len(set(sides)) == 1 for sides in seen)
    assert max(map(len, seen)) >= 2  # side by side, and not one by one


def test_who_is_interrupted_at_the_gate_is_not_waited_for(monkeypatch):
    gate = Gate()
    with gate.phase("Alice"):
        monkeypatch.setattr(gate._changed, "wait_for", lambda ready: 1 / 0)
        with pytest.raises(ZeroDivisionError), gate.phase("Bob"):
            pass
        monkeypatch.undo()
    with gate.phase("Bob"), gate.phase("Bob"):
        pass
