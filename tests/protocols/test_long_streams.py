"""Streams too long to be there as a whole: handed over in parts, with a message that waits in a
file, and with keys that nobody asked for never made. What is counted is the same."""

import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.errors import HarnessFault
from kvbarrier.protocols.game import referee
from kvbarrier.protocols.game.cell import Batch, Cell
from kvbarrier.protocols.game.index_game import Session, play_all, play_batch, written
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.game.referee import Parcel
from kvbarrier.protocols.players import isolation
from kvbarrier.protocols.players.channel import pack, unpack
from kvbarrier.protocols.players.inline_seat import InlineSeat
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.protocols.players.play import Table, shortened
from kvbarrier.reductions.keys import LazyKeySet, base
from kvbarrier.reductions.stream_family import StreamFamily
from kvbarrier.runs import room
from kvbarrier.runs.attack import Attack
from kvbarrier.runs.runner import Facts, _Line

KEY = b"the key of long streams is this."
needs_namespaces = pytest.mark.skipif(
    not isolation.namespaces_available(), reason=f"{isolation.namespaces_problem()}"
)
everywhere = pytest.mark.parametrize(
    "kind", ["inline", "process", pytest.param("namespaces", marks=needs_namespaces)]
)
COUNTS = '''
import numpy as np
from kvbarrier.compressors.plugin.contract import Compressor


class Counts(Compressor):
    """Tells by its message how often it was handed tokens, and how many."""

    def __init__(self, *args, **params):
        super().__init__(*args, **params)
        self.seen = np.zeros(2, dtype=np.int64)

    def append(self, q, k, v):
        pass

    def extend(self, Q, K, V):
        self.seen += [1, len(K)]

    def attend(self, q):
        return np.full(self.shape.d_v, self.seen[0], dtype=np.float32)

    def save(self):
        return self.seen.tobytes()

    def restore(self, message):
        self.seen = np.frombuffer(message, dtype=np.int64).copy()
'''


def play(cell, kind="inline"):
    record = play_batch(cell, KEY, 0, kind, Limits(20, 1 << 30))
    assert not any(one.failed for one in record.records), record.records[0].failed
    return replace(record, seconds=0.0)


@pytest.mark.parametrize(
    ("target", "instance"),
    [
        ("exact", Index(64, 16, keys="hypercube")),
        ("h2o", Index(64, 16, keys="hypercube", queries="decoy")),
        ("quantized", Index(64, 16, keys="hypercube", values="pm1", rows=16)),
        ("sliding-window", Index(64, 16, keys="hypercube", heads=2, layers=2)),
        ("reservoir", Index(64, 16, keys="jl", basis="rotated")),
    ],
)
def test_in_parts_and_through_a_file_every_count_is_the_same(monkeypatch, target, instance):
    cell = Cell(instance, target, (), Fraction(1, 2), batch_size=5)  # 0 and 4 are cut
    whole = play(cell)
    monkeypatch.setattr(referee, "PART", 7 * 16)
    monkeypatch.setattr(referee, "LONG", 1)
    assert play(cell) == whole


@everywhere
def test_everybody_is_handed_the_parts(monkeypatch, tmp_path, kind):
    path = tmp_path / "counts.py"
    path.write_text(COUNTS)
    cell = Cell(Index(32, 16, keys="hypercube"), f"{path}:Counts", (), None, batch_size=2)
    monkeypatch.setattr(referee, "PART", 7 * 16)
    record = play_batch(cell, KEY, 1, kind, Limits(20, 1 << 30))
    assert [one.failed for one in record.records] == [None, None]
    (sent,) = written(cell, KEY, range(2, 3), kind, Limits(20, 1 << 30))
    # Message 2 is not cut: 32 tokens are five parts of at most seven.
    assert np.frombuffer(sent.message.open(), dtype=np.int64).tolist() == [5, 32]


@everywhere
def test_who_fails_in_a_part_that_is_not_the_last_has_failed(monkeypatch, tmp_path, kind):
    path = tmp_path / "counts.py"
    path.write_text(
        COUNTS.replace("self.seen += ", "assert self.seen[1] < 14\n        self.seen += ")
    )
    cell = Cell(Index(32, 16, keys="hypercube"), f"{path}:Counts", (), None, batch_size=2)
    monkeypatch.setattr(referee, "PART", 7 * 16)
    record = play_batch(cell, KEY, 1, kind, Limits(20, 1 << 30))
    for one in record.records:
        assert one.failed.startswith("Alice raised AssertionError (counts.py, line 17, in extend)")


def test_a_message_that_waited_in_a_file_is_the_one_that_was_charged(monkeypatch):
    monkeypatch.setattr(referee, "LONG", 4)
    waiting = Parcel(b"0123456789")
    assert len(waiting) == 10
    assert waiting.open() == waiting.open() == b"0123456789"
    waiting._file.seek(3)
    waiting._file.write(b"x")
    with pytest.raises(HarnessFault, match="not what was written"):
        waiting.open()


def at_most(keys_of, most):
    """The keys of some tokens, but not of more than so many."""

    def keys(self, at):
        assert len(at) <= most, "all keys were made"
        return keys_of(self, at)

    return keys


def test_keys_that_nobody_reads_are_never_made_as_a_whole(monkeypatch):
    def refuse(self):
        raise AssertionError("all keys were made")

    instance = Index(1 << 12, 64, keys="bch", rows=16)
    heads = replace(instance, heads=2)
    monkeypatch.setattr(LazyKeySet, "rows", property(refuse))
    monkeypatch.setattr(StreamFamily, "_keys", at_most(StreamFamily._keys, 64))
    monkeypatch.setattr(referee, "PART", 1 << 12)
    play(Cell(instance, "exact", (), Fraction(1), batch_size=1))
    play(Cell(heads, "exact", (), Fraction(1), batch_size=1))
    with pytest.raises(HarnessFault, match="all keys were made"):
        play(Cell(instance, "lossless", (), Fraction(1), batch_size=1))


@everywhere
def test_who_makes_the_keys_himself_plays_the_same_game(monkeypatch, kind):
    cells = [
        Cell(Index(64, 16, keys="bch", heads=heads), target, (), Fraction(1), batch_size=1)
        for target in ("exact", "lossless")
        for heads in (1, 2)
    ]
    whole = [replace(play(cell), isolation=kind) for cell in cells]
    monkeypatch.setattr(base, "MANY", 1)
    played = play_all([Batch(cell, KEY, 0) for cell in cells], kind, Limits(20, 1 << 30))
    assert [replace(one, seconds=0.0) for one in played] == whole


def test_many_keys_are_told_as_what_makes_them_to_what_ships_with_us(monkeypatch):
    monkeypatch.setattr(base, "MANY", 1)
    instance = Index(64, 16, keys="bch", heads=2)
    table = Table("exact", ".", {}, instance.shape, None, instance.build().public())
    keys = table.public["keys"]
    told = unpack(pack(table.told()))
    assert told["public"]["keys"].keys() == {"made", "order"}
    again = Table.of(told)
    assert np.array_equal(again.public["keys"], keys)
    assert again.shape == table.shape
    # Another's NumPy may be another version, and nobody knows what he reads.
    assert np.array_equal(replace(table, target="a.py:A").told()["public"]["keys"], keys)
    # No code makes these again.
    drawn = Index(64, 16, keys="jl").build().public()
    assert type(replace(table, public=drawn).told()["public"]["keys"]) is np.ndarray


def test_who_ships_with_us_warms_up_on_a_stream_that_is_not_long():
    shape = Shape(tokens=1 << 20, d_k=64, d_v=64)
    short = shortened(Table("exact", ".", {}, shape, shape.cache_bits_16, {}))
    assert short.shape == replace(shape, tokens=1 << 14)
    assert short.budget_bits == short.shape.cache_bits_16
    again = shortened(replace(short, budget_bits=None))
    assert (again.shape, again.budget_bits) == (short.shape, None)


def test_what_ships_with_us_and_declares_its_length_is_weighed_unwritten(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("it was written")

    instance = Index(64, 16, keys="hypercube")
    monkeypatch.setattr(InlineSeat, "write", refuse)
    with Session("inline") as session:
        _, charged = session.weigh(Cell(instance, "exact", (), Fraction(1), batch_size=1))
        assert charged == 16 * 64 * (16 + 16)
        with pytest.raises(AssertionError, match="it was written"):
            session.weigh(Cell(instance, "subgen", (), Fraction(1), batch_size=1))


def test_each_message_of_a_long_stream_is_a_batch_and_as_many_are_played_as_there_is_room(
    monkeypatch,
):
    long, short = Index(1 << 20, 64, keys="bch"), Index(64, 16, keys="bch")
    for messages, usual in ((6, 6), (None, 16)):
        plan = Attack("exact", long, budgets=[Fraction(1)], messages=messages, others=[short])
        cells = plan.cells()
        assert [cell.batch_size for cell in cells] == [1, usual]
        # Who is long is played by himself, whatever a short rehearsal took.
        facts = Facts("0" * 16, True)
        lines = [_Line(one, facts, "process", None, {}, 1, alone=False, rehearsed=1.0)
                 for one in cells]  # fmt: skip
        assert [line.seconds() for line in lines] == [np.inf, usual]
    needed = room.room_of(cells[0]).total
    for there, most in ((3 * needed - 1, 2), (needed // 2, 1), (1 << 60, 8), (None, 8)):
        monkeypatch.setattr(room, "memory_available", lambda there=there: there)
        assert room.side_by_side(cells, 8) == most
    monkeypatch.setattr(room, "memory_available", lambda: 0)
    assert room.side_by_side(cells[1:], 8) == 8


@pytest.mark.parametrize(("n", "heads"), [(1 << 17, 1), (1 << 15, 4)])
def test_a_long_game_takes_twice_the_memory_of_k_and_v_at_most(n, heads):
    d = 64
    instance = Index(n, d, keys="bch", rows=16, heads=heads)
    cell = Cell(instance, "exact", (), Fraction(1), batch_size=4)
    cell.instance.build()
    tracemalloc.start()
    try:
        play(cell)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * (2 * n * heads * d * 4)
