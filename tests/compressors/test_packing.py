"""The default save: exact round trips, no more bytes than a fresh instance cannot know, no code."""

from __future__ import annotations

import enum
import math
import pickle
import random
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.plugin.packing import (
    pack_difference,
    pack_plain,
    payload_bytes,
    sent_attributes,
    unpack_difference,
    unpack_plain,
    unpacker,
)
from kvbarrier.errors import BudgetTooSmall, PluginFailure

ML = [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


def identical(a: Any, b: Any) -> bool:
    """Equal types, shapes and bits, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex):
        return identical(a.real, b.real) and identical(a.imag, b.imag)
    if isinstance(a, dict):
        return identical(list(a.items()), list(b.items()))
    if isinstance(a, list | tuple | deque):
        same_bound = getattr(a, "maxlen", 0) == getattr(b, "maxlen", 0)
        return same_bound and len(a) == len(b) and all(map(identical, a, b))
    return bool(a == b)


dtypes = st.one_of(
    hnp.boolean_dtypes(), hnp.integer_dtypes(endianness="?"), hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(), hnp.datetime64_dtypes(), hnp.unicode_string_dtypes(max_len=4),
)  # fmt: skip
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))


@st.composite
def bit_patterns(draw: st.DrawFn) -> Any:
    """Floats of any bits, NaN payloads and signs included, small ml_dtypes too."""
    dtype = np.dtype(draw(st.sampled_from([np.float16, np.float32, np.float64, *ML])))
    raw = draw(st.binary(min_size=dtype.itemsize, max_size=6 * dtype.itemsize))
    raw = raw[: len(raw) // dtype.itemsize * dtype.itemsize]
    return np.frombuffer(raw, dtype=dtype).copy()


python_floats = st.binary(min_size=8, max_size=8).map(lambda raw: struct.unpack("d", raw)[0])
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), python_floats,
    st.complex_numbers(), st.text(st.characters()), st.binary(), st.binary().map(bytearray),
    arrays, bit_patterns(), arrays.filter(lambda a: a.ndim == 0).map(lambda a: a[()]),
)  # fmt: skip
hashable = st.one_of(st.integers(), st.text(max_size=3), st.tuples(st.integers(), st.booleans()))


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(deque),
        st.lists(inner, max_size=4).map(lambda items: deque(items, maxlen=9)),
        st.dictionaries(hashable, inner, max_size=4),
        st.sets(hashable, max_size=4),
        st.frozensets(hashable, max_size=4),
        # Alike rows, which are stacked: lists of arrays, of (k, v), of floats.
        st.builds(lambda a, n: [a.copy() for _ in range(n)], arrays, st.integers(0, 3)),
        st.builds(lambda a, b, n: [(a, b)] * n, arrays, inner, st.integers(0, 3)),
    )


plain = st.recursive(leaves, containers, max_leaves=8)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(plain)
@example([(), ()])
@example([np.float32(1), np.float32(2)])
@example([np.array(1.0), np.array(2.0)])
@example([np.array([1, 2], dtype=">i2"), np.array([3, 4], dtype=">i2")])
@example([(np.ones(2), 1.0), (np.ones(2), 2.0)])
@example([np.zeros((0, 3))] * 2)
@example({"a": [True, 1, 1.0]})
def test_round_trip_is_exact(data: Any) -> None:
    message = pack_plain(data)
    assert identical(unpack_plain(message), data)
    assert pack_plain(unpack_plain(message)) == message


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=60), plain.map(pack_plain)), st.data())
def test_hostile_bytes_are_data_or_one_error(message: bytes, data: st.DataObject) -> None:
    if message:
        at = data.draw(st.integers(0, len(message) - 1))
        message = message[:at] + data.draw(st.binary(max_size=3)) + message[at + 1 :]
    fresh = Cache()
    for read in (unpack_plain, lambda m: unpack_difference(fresh, m), payload_bytes):
        # Whatever else is raised fails the test.
        with suppress(PluginFailure):
            read(message)


@pytest.mark.parametrize(
    "message",
    [
        msgpack.packb(
            msgpack.ExtType(3, b"\x0b\x02\x80\x80\x80\x80\x80\x01\x00")
        ),  # 2^35 rows of 0
        msgpack.packb(msgpack.ExtType(2, b"\x0b\x02\x80\x80\x80\x80\x80\x01\x00")),
        msgpack.packb(msgpack.ExtType(1, b"\x0b\x01\x80\x80\x80\x80\x80\x01")),  # 2^35 doubles
        msgpack.packb(msgpack.ExtType(1, b"\xff\x02|O\x00" + bytes(8))),  # a pointer
        b"\xdd\xff\xff\xff\xff",  # a list of 2^32 items
        b"\x91" * 100_000 + b"\x00",  # deep
        pickle.dumps(print),
    ],
    ids=["scalars", "rows", "doubles", "object", "long", "deep", "pickle"],
)
def test_bombs_are_refused(message: bytes) -> None:
    with pytest.raises(PluginFailure, match="was not made by the inherited save"):
        unpack_plain(message)


class Cache:
    limit = 3

    def __init__(self) -> None:
        self.table = np.arange(6.0)
        self.used = 0
        self.rows: list[Any] = []

    def append(self) -> None:
        """A method, which no message may replace."""


def test_unchanged_is_the_empty_message() -> None:
    assert pack_difference(Cache(), Cache()) == b""
    assert pack_difference(Codec(), Codec()) == b""


def test_an_array_of_known_shape_costs_its_elements() -> None:
    mine = Cache()
    mine.table[2] = 7
    message = pack_difference(mine, Cache())
    # One byte for the flat list, one for the index, three for the extension's code and length.
    assert len(message) == 6 * 8 + 5
    assert payload_bytes(message) == 48
    twin = Cache()
    unpack_difference(twin, message)
    assert identical(twin.table, mine.table)
    assert twin.table.flags.writeable


@pytest.mark.parametrize(
    ("rows", "payload"),
    [
        (list(np.ones((100, 16), np.float32)), 6400),
        ([(np.ones(16, np.float32), np.ones(8, np.float32)) for _ in range(100)], 9600),
        ([(row, 0.5) for row in np.ones((100, 16), np.float32)], 7200),
        # Whole numbers below 128 are a byte each.
        ({i: (np.ones(16, np.float32), np.float16(2)) for i in range(100)}, 6700),
        (deque([0.5] * 100, maxlen=200), 800),
    ],
    ids=["arrays", "pairs", "scored", "by-index", "floats"],
)
def test_rows_are_not_paid_for_one_by_one(rows: Any, payload: int) -> None:
    mine = Cache()
    mine.rows = rows
    message = pack_difference(mine, Cache())
    assert payload_bytes(message) - payload in (0, 1)  # a deque's bound is a number too
    assert len(message) - payload <= 30


def test_bits_are_sent_as_bits() -> None:
    mine, twin = Cache(), Cache()
    mine.rows = [np.arange(800) % 3 == 0]
    message = pack_difference(mine, Cache())
    assert payload_bytes(message) == 100
    unpack_difference(twin, message)
    assert identical(twin.rows, mine.rows)


def test_names_new_and_gone_and_class_defaults() -> None:
    mine = Cache()
    del mine.used
    mine.limit = 9
    mine.extra = {"a": (1, [2])}  # type: ignore[attr-defined]
    twin = Cache()
    unpack_difference(twin, pack_difference(mine, Cache()))
    assert not hasattr(twin, "used")
    assert (twin.limit, twin.extra) == (9, {"a": (1, [2])})  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["append", "__class__", "__dict__"])
def test_a_message_cannot_replace_methods(name: str) -> None:
    fresh = Cache()
    with pytest.raises(PluginFailure):
        unpack_difference(fresh, msgpack.packb([1, 5, name, 7]))
    assert (fresh.used, type(fresh)) == (0, Cache)


def test_public_means_equal_bits() -> None:
    mine, fresh = Cache(), Cache()
    mine.table[:] = fresh.table[:] = np.nan
    mine.rows, fresh.rows = [float("nan"), {1, 2}], [float("nan"), {2, 1}]
    assert pack_difference(mine, fresh) == b""
    for name, value in [("table", -fresh.table), ("rows", [-0.0, {1, 2}]), ("used", False)]:
        changed = Cache()
        changed.table[:], changed.rows = np.nan, fresh.rows
        setattr(changed, name, value)
        assert pack_difference(changed, fresh) != b""


class Slotted:
    __slots__ = ("__private", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.__private = [1.5]

    def step(self) -> None:
        self.seen += 1
        self.__private.append(float("nan"))


def test_slots_travel() -> None:
    mine, twin = Slotted(), Slotted()
    mine.step()
    unpack_difference(twin, pack_difference(mine, Slotted()))
    assert identical(twin._Slotted__private, mine._Slotted__private)  # type: ignore[attr-defined]
    assert twin.seen == 1


@dataclass
class Codec:
    """A helper object with arrays, whose own == cannot tell."""

    table: np.ndarray = field(default_factory=lambda: np.eye(3))
    score: Any = field(default_factory=lambda: lambda q: q + 1)

    def shift(self) -> None: ...


class WithHelper:
    def __init__(self) -> None:
        self.codec = Codec()


def test_helper_objects_built_alike_are_public() -> None:
    mine = WithHelper()
    assert pack_difference(mine, WithHelper()) == b""
    mine.codec.table[0, 0] = 2
    message = pack_difference(mine, WithHelper())
    # The place of codec.table, and the elements of an array whose head a fresh instance shows.
    assert payload_bytes(message) == mine.codec.table.nbytes
    other = restored(message, WithHelper)
    assert other.codec.table.tobytes() == mine.codec.table.tobytes()


def restored(message: bytes, make: Any) -> Any:
    other = make()
    unpack_difference(other, message)
    return other


class Ring:
    """A helper with slots, and with a way back to who made it."""

    __slots__ = ("after", "home", "rows")

    def __init__(self, home: Any = None) -> None:
        self.home = home
        self.rows: list[Any] = []


@dataclass(frozen=True)
class Frozen:
    level: int
    inner: Any = None


class Nested:
    def __init__(self) -> None:
        self.layers = [Ring(self), Ring(self)]
        self.heads = {"a": Ring(), 7: Ring()}
        self.pair = (Frozen(1, Ring()), Frozen(2))
        self.first = self.layers[0]
        self.mixed = [1, Ring()]
        self.mode = Mode.A


class Mode(enum.Enum):
    A = 1
    B = 2


def test_what_differs_inside_helpers_is_sent_by_its_path() -> None:
    one = Nested()
    assert pack_difference(one, Nested()) == b""
    one.layers[1].rows.append(np.arange(3))
    one.layers[0].after = "new"
    one.heads[7].rows = {"k": 1}
    one.pair[0].inner.rows.append(5)
    object.__setattr__(one.pair[1], "level", 9)
    del one.layers[1].home
    assert list(sent_attributes(one, Nested())) == [
        "first.after", "heads[7].rows", "layers[1].rows", "pair[0].inner.rows", "pair[1].level",
    ]  # fmt: skip
    message = pack_difference(one, Nested())
    two = restored(message, Nested)
    assert two.layers[1].rows[0].tolist() == [0, 1, 2]
    assert two.layers[0].after == "new"
    assert two.heads[7].rows == {"k": 1}
    assert two.pair[0].inner.rows == [5]
    assert (two.pair[0].level, two.pair[1].level) == (1, 9)
    assert not hasattr(two.layers[1], "home")
    # Who was the same thing is the same thing.
    assert two.first is two.layers[0]
    assert two.layers[0].home is two
    assert pack_difference(two, Nested()) == message


def test_copies_made_of_one_message_share_no_helper() -> None:
    one = Nested()
    one.layers[1].rows.append([1])
    unpack = unpacker(pack_difference(one, Nested()))
    two, three = Nested(), Nested()
    unpack(two)
    unpack(three)
    two.layers[1].rows[0].append(2)
    assert three.layers[1].rows == [[1]]


def test_arrays_shared_between_helpers_are_sent_once() -> None:
    one = Nested()
    pool = np.arange(4096)
    one.layers[0].rows = pool[:3000]
    one.layers[1].rows = pool[1000:]
    message = pack_difference(one, Nested())
    assert len(message) < pool.nbytes + 200
    assert restored(message, Nested).layers[1].rows.tolist() == pool[1000:].tolist()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda one: one.layers.append(Ring()), r"Nested\.layers\[0\] is a .*Ring"),
        (lambda one: one.heads.update(a=Frozen(1)), r"Nested\.heads\['a'\] is a .*Frozen"),
        (lambda one: one.mixed[1].rows.append(1), r"Nested\.mixed\[1\] is a .*Ring"),
        (lambda one: setattr(one, "mode", Mode.B), r"Nested\.mode is a .*Mode"),
        (lambda one: setattr(one.layers[1], "rows", Ring()), r"Nested\.layers\[1\]\.rows is a"),
        (lambda one: setattr(one, "first", one.layers[1]), r"Nested\.layers\[0\] is a .*Ring"),
    ],
)  # fmt: skip
def test_helpers_that_the_constructor_did_not_make_are_refused_by_their_path(
    change: Any, where: str
) -> None:
    one = Nested()
    change(one)
    with pytest.raises(PluginFailure, match=f"{where}.*in the constructor"):
        pack_difference(one, Nested())


class Twice:
    def __init__(self) -> None:
        self.layers = [Ring()] * 2


def test_one_helper_twice_is_not_taken_for_two() -> None:
    one = Twice()
    one.layers[0].rows.append(1)
    assert restored(pack_difference(one, Twice()), Twice).layers[1].rows == [1]
    one.layers = [Ring(), Ring()]
    one.layers[1].rows.append(1)
    with pytest.raises(PluginFailure, match=r"Twice\.layers\[0\] is a .*Ring"):
        pack_difference(one, Twice())


def test_plain_data_in_place_of_a_helper_is_sent_whole() -> None:
    one = Nested()
    one.layers = [1, 2]
    two = restored(pack_difference(one, Nested()), Nested)
    assert two.layers == [1, 2]


def test_a_method_of_a_helper_is_not_replaced() -> None:
    one = WithHelper()
    one.codec.extra = 1
    message = pack_difference(one, WithHelper()).replace(b"codec.extra", b"codec.shift")
    with pytest.raises(PluginFailure, match="was not made by the inherited save"):
        restored(message, WithHelper)


class OddArray(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("value", "where", "advice"),
    [
        (np.random.default_rng(0), "Cache.rows", r"self\.rng\(t\)"),
        (random.Random(0), "Cache.rows", r"self\.rng\(t\)"),
        ([1, {"a": np.random.default_rng(0)}], r"Cache\.rows\[1\]\['a'\]", r"self\.rng\(t\)"),
        (lambda: 0, "Cache.rows", "make it a method"),
        (math, "Cache.rows", "make it a method"),
        (np.array([object()]), "Cache.rows is an array of object", "np.asarray"),
        ([np.array([None])] * 2, r"Cache\.rows\[0\]", "np.asarray"),
        (np.eye(2).view(OddArray), "Cache.rows", "np.asarray"),
        (np.zeros(2, dtype="i4,f4"), "Cache.rows", "np.asarray"),
        ({object(): 1}, "the keys of Cache.rows", "keep numbers"),
        (Slotted(), "Cache.rows is a .*Slotted", "keep numbers"),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_refused_by_name(value: Any, where: str, advice: str) -> None:
    mine = Cache()
    mine.rows = value
    with pytest.raises(PluginFailure, match=f"{where}.*not plain data: .*{advice}"):
        pack_difference(mine, Cache())


def test_cycles_are_refused() -> None:
    mine = Cache()
    mine.rows.append(mine.rows)
    with pytest.raises(PluginFailure, match="deeper than 32"):
        pack_difference(mine, Cache())


def test_bytes_do_not_depend_on_the_process() -> None:
    # Sets of strings iterate in an order that PYTHONHASHSEED changes: sorted by their packing.
    words = {"one", "two", "three", "four"}
    ordered = unpack_plain(pack_plain(sorted(words, key=pack_plain)))
    assert pack_plain(words) == msgpack.packb([msgpack.ExtType(18, b""), *ordered])


def test_public_arguments_are_never_sent() -> None:
    class Keeps(Compressor):
        def __init__(self, shape: Shape, **rest: Any) -> None:
            super().__init__(shape, **rest)
            self.rotation = self.rng(0).standard_normal((32, 32))
            self.copy = self.public["keys"].copy()
            self.seen = 0

        def append(self, q: Any, k: Any, v: Any) -> None:
            self.seen += 1

        def attend(self, q: Any) -> Any:
            return np.full(self.shape.d_v, self.seen, dtype=np.float32)

    shape = Shape(tokens=4, d_k=3, d_v=2)
    one = Keeps(shape, budget_bits=8, seed=5, public={"keys": np.eye(4)})
    one.append(None, None, None)
    assert len(one.save()) == 3
    rows = np.zeros((2, 3), dtype=np.float32)
    assert one.next_outputs(rows, rows, rows[:, :2]).tolist() == [[2, 2], [2, 2]]
    assert one.block_outputs(rows, rows, rows[:, :2]).tolist() == [[3, 3], [3, 3]]
    assert one.seen == 1


def test_budget_too_small_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(BudgetTooSmall("lossless", 3, 7)))
    assert (str(error), error.minimum_bits) == (str(BudgetTooSmall("lossless", 3, 7)), 7)
    failure = pickle.loads(pickle.dumps(PluginFailure("it raised.", "line 3")))
    assert (str(failure), failure.detail) == ("it raised.", "line 3")


class Grown:
    """An instance that was constructed later may have one attribute more."""

    def __init__(self, more: bool = False) -> None:
        self.a, self.c = np.zeros(2), np.zeros(3)
        if more:
            self.b = np.zeros(3)


def test_each_copy_is_read_by_its_own_attributes() -> None:
    one = Grown()
    one.a, one.c = np.ones(2), 2 * np.ones(3)
    message = pack_difference(one, Grown())
    unpack, alone = unpacker(message), Grown(more=True)
    unpack_difference(alone, message)
    for copy, expected in ((Grown(), one), (Grown(more=True), alone), (Grown(), one)):
        unpack(copy)
        assert {name: value.tolist() for name, value in vars(copy).items()} == {
            name: value.tolist() for name, value in vars(expected).items()
        }
    # By their places among sorted names, b is what c was: no copy was read as another one.
    assert (alone.b.tolist(), alone.c.tolist()) == ([2.0] * 3, [0.0] * 3)


def test_no_two_copies_share_what_can_be_changed() -> None:
    one = Grown()
    one.a, one.c = [1, 2], 2 * np.ones(3)
    unpack = unpacker(pack_difference(one, Grown()))
    first, second, third = Grown(), Grown(), Grown()
    for copy in (first, second, third):
        unpack(copy)
    second.a.append(3)
    second.c += 1
    assert (third.a, third.c.tolist(), first.a) == ([1, 2], [2.0] * 3, [1, 2])
