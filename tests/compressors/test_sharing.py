"""Arrays over the same memory are sent once, come back over the same memory, and bombs do not."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvbarrier.compressors.plugin.packing import (
    pack_difference,
    pack_plain,
    payload_bytes,
    unpack_difference,
    unpack_plain,
    unpacker,
)
from kvbarrier.compressors.plugin.sharing import Memory, layout_of, lie_apart, shared
from kvbarrier.errors import PluginFailure

#: a view of few axes: its place among the attributes, its layout, and the marks of the message
FRAMING = 64


class Recorder:
    """Keeps a buffer, and what it hands out is a view of it."""

    def __init__(self) -> None:
        self.record = np.zeros((4, 0, 8), np.float32)
        self.keys = self.record

    def fill(self, n: int, seed: int = 0) -> Recorder:
        self.record = np.random.default_rng(seed).standard_normal((4, n, 8)).astype(np.float32)
        self.keys = self.record[:, : n - 3]
        self.latest = [self.record[:, n - 1], self.record[0]]
        return self


def test_a_view_of_another_attribute_costs_no_second_copy() -> None:
    one = Recorder().fill(100)
    message = pack_difference(one, Recorder())
    # 3,200 numbers of 4 bytes, where sending all names apart takes 3,104, 32 and 800 more.
    assert 4 * 3200 < len(message) < 4 * 3200 + 4 * FRAMING
    assert payload_bytes(message) == 4 * 3200
    back = Recorder()
    unpack_difference(back, message)
    for name in ("record", "keys"):
        assert np.array_equal(getattr(back, name), getattr(one, name))
    assert np.array_equal(back.latest[0], one.latest[0])
    # Writing into one shows in the others, as where they came from.
    back.record[0, 5] = 7
    assert (back.keys[0, 5] == 7).all()
    assert (back.latest[1][5] == 7).all()


def test_two_instances_of_one_message_share_nothing() -> None:
    read = unpacker(pack_difference(Recorder().fill(20), Recorder()))
    first, second = Recorder(), Recorder()
    read(first)
    read(second)
    first.record[:] = 0
    assert second.record.any()
    assert not first.keys.any()


def test_two_names_of_one_array() -> None:
    x = np.arange(1000, dtype=np.int64)
    message = pack_plain([x, {"again": x}, x])
    assert len(message) < 8000 + FRAMING
    assert pack_plain(unpack_plain(message)) == message
    first, second, third = unpack_plain(message)
    first[3] = -1
    assert second["again"][3] == third[3] == -1


def test_what_is_repeated_is_sent_once() -> None:
    x = np.random.default_rng(0).standard_normal((1, 50, 8)).astype(np.float16)
    heads = np.broadcast_to(x, (16, 50, 8))
    message = pack_plain(heads)
    assert len(message) < 2 * 400 + FRAMING
    assert np.array_equal(unpack_plain(message), heads)


def test_what_only_lies_side_by_side_is_sent_as_ever() -> None:
    # Rows of one block, as the game hands them out, touch no byte twice.
    block = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    assert pack_plain(list(block)) == pack_plain([row.copy() for row in block])
    halves = [block[:, :4], block[:, 4:]]
    assert pack_plain(halves) == pack_plain([half.copy() for half in halves])


def test_sharing_is_left_out_where_it_is_dearer() -> None:
    # A thousand rows that are stacked without a header each, one of them under another name.
    block = np.random.default_rng(0).standard_normal((1000, 8)).astype(np.float32)
    rows = list(block)
    apart = [*rows, {"last": rows[-1].copy()}]
    assert len(pack_plain([rows, rows[-1]])) <= len(pack_plain([list(block.copy()), apart[-1]]))


def test_a_far_corner_of_a_large_array_does_not_bring_what_lies_between() -> None:
    x = np.random.default_rng(0).standard_normal(100_000)
    y = x[::50_000]
    assert len(pack_plain([y, y[:1]])) < FRAMING


@given(st.data())
def test_any_views_of_an_array_come_back(data: st.DataObject) -> None:
    coins = np.random.default_rng(data.draw(st.integers(0, 9)))
    x = coins.integers(-100, 100, (6, 7, 5)).astype(data.draw(st.sampled_from([np.int8, np.int32])))
    cut = st.slices(7)
    views = []
    for _ in range(data.draw(st.integers(1, 4))):
        view = x[data.draw(st.slices(6)), data.draw(cut), data.draw(st.slices(5))]
        if data.draw(st.booleans()):
            view = view.transpose(2, 0, 1)
        views.append(view)
    message = pack_plain(views)
    back = unpack_plain(message)
    for mine, theirs in zip(views, back, strict=True):
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs)
        assert theirs.flags.writeable
    assert len(message) <= sum(view.nbytes for view in views) + 16 * len(views) + FRAMING


@pytest.mark.parametrize(
    "layout",
    [
        [1 << 50, 1, [4], [1]],  # far away
        [0, 1, [4], [1 << 50]],  # far apart
        [-4, 1, [4], [1]],  # before the memory
        [0, 1, [1 << 40], [1]],  # longer than what came
        [0, 1, [1 << 20, 1 << 20], [1, 1]],  # the same bytes, more often than anyone can walk
        [0, 1, [4, 4], [1]],  # an axis without a stride
        [0, 0, [4], [1]],  # no bytes an element
        [0, 1, [-1], [1]],
    ],
)
def test_bombs_are_refused(layout: list[object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Memory([b"four", [layout]])
    mark, view = msgpack.ExtType(23, b""), msgpack.ExtType(9, b"\0\0|u1")
    with pytest.raises(PluginFailure, match="not made by the inherited save"):
        unpack_plain(msgpack.packb([mark, [[b"four", [layout]]], view]))


def test_a_view_of_nothing_is_refused() -> None:
    mark = msgpack.ExtType(23, b"")
    good = [b"four", [[0, 1, [4], [1]]]]
    assert unpack_plain(msgpack.packb([mark, [good], msgpack.ExtType(9, b"\0\0|u1")])).size == 4
    for view in (b"\1\0|u1", b"\0\1|u1", b"\0\0<f4", b"\0\0|O"):
        with pytest.raises(PluginFailure):
            unpack_plain(msgpack.packb([mark, [good], msgpack.ExtType(9, view)]))


def test_bytes_do_not_tell_where_the_memory_lay() -> None:
    x = np.arange(90, dtype=np.int16)
    messages = set()
    for offset in range(0, 40, 2):
        place = np.zeros(200, np.int16)[offset : offset + 90]
        place[:] = x
        messages.add(pack_plain([place, place[3:]]))
    assert len(messages) == 1


def test_groups_by_hand() -> None:
    x = np.arange(100, dtype=np.int8)
    found = shared([layout_of(one) for one in (x[:10], x[50:60], x[5:8], x[55:], x[20:30])])
    assert [one.members for one in found] == [(0, 2), (1, 3)]
    assert [int(one.touched.sum()) for one in found] == [10, 50]


def test_where_memory_lies_is_no_part_of_the_message() -> None:
    def message(first: slice, second: slice) -> bytes:
        room = np.empty(200, np.uint8)
        a, b = room[first], room[second]
        a[:], b[:] = np.arange(50), np.arange(50) + 100
        return pack_plain([a, b, a, b[10:20], b])

    assert message(slice(0, 50), slice(100, 150)) == message(slice(100, 150), slice(0, 50))


def test_what_lies_apart_shares_nothing() -> None:
    """The quick question against the whole one: of arrays that own, show, repeat and overlap."""
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(300):
        memory = np.zeros(48, np.int16)
        made: list[np.ndarray] = []
        for _ in range(int(rng.integers(1, 5))):
            at, step = int(rng.integers(0, 40)), int(rng.integers(1, 3))
            view = memory[at : at + int(rng.integers(0, 8)) : step]
            made.append(
                (view, view.copy(), np.broadcast_to(view, (2, len(view))), memory[at:])[
                    rng.choice(4, p=(0.4, 0.4, 0.1, 0.1))
                ]
            )
        if rng.random() < 0.2:
            made.append(made[0])
        apart = lie_apart(made)
        answers.append(apart)
        if apart:
            assert shared([layout_of(one) for one in made]) == []
    # Neither answer is the rule: the question would be no use, or would save nothing.
    assert 50 < sum(answers) < 250
    assert lie_apart([np.zeros((2, 3), order="F"), np.ones(4)])
