"""Any cache object as bytes: what comes back, what it costs, and what strangers' bytes can do."""

import contextlib
import functools
import logging
import threading
from collections import OrderedDict, deque, namedtuple

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="caches hold tensors of torch")

from kvbarrier.compressors.engines.hf.torch_graph import World, copy_graph  # noqa: E402
from kvbarrier.compressors.engines.hf.torch_skeleton import Skeleton  # noqa: E402
from kvbarrier.compressors.engines.hf.torch_state import Packing, pack_state, unpack_state  # noqa: E402
from kvbarrier.errors import BadInput, PluginFailure  # noqa: E402

Pair = namedtuple("Pair", "left right")
MODEL = object()


class Chunk:
    __slots__ = ("codes", "scale")

    def __init__(self, codes, scale):
        self.codes, self.scale = codes, scale


class Cache:
    """One of everything that caches are made of."""

    def __init__(self):
        self.model = MODEL
        self.rotation = torch.eye(64)
        self.dtype, self.step = torch.bfloat16, self.first
        self.chunks, self.by_layer, self.length = [], {}, 0
        self.named, self.window, self.order = Pair(1, None), deque(maxlen=2), OrderedDict()
        self.seen, self.shape, self.masks = set(), torch.Size([1]), ()

    def first(self):
        return 1

    def later(self):
        return self.length

    def fill(self, seed, n=4):
        coins = torch.Generator().manual_seed(seed)
        big = torch.rand((100, 8), generator=coins)
        for i in range(n):
            self.chunks.append(Chunk((big[i] * 255).to(torch.uint8), big[i, 0]))
            self.window.append(big[i : i + 2])
        self.by_layer = {0: big[:3].to(torch.bfloat16), 1: big[:2].to(torch.float8_e4m3fn)}
        self.latest = self.chunks[-1]
        self.again = [self.chunks, self]
        self.named = Pair(big[5], "x")
        self.order["k"] = np.arange(seed, dtype=np.int16)
        self.length, self.seen = seed, {seed, "n"}
        self.shape, self.masks = torch.Size([seed, 2]), (big[0] > 0.5, None, 1.5)
        self.step = self.later
        return self


def skeleton(seed=1, n=4):
    return Skeleton(Cache().fill(seed, n), World([MODEL]))


def through(cache, public):
    return unpack_state(pack_state(cache, public), public)


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert (
            a.contiguous().view(torch.uint8).tolist() == b.contiguous().view(torch.uint8).tolist()
        )
    elif isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


def check_equal(back, cache):
    assert len(back.chunks) == len(cache.chunks)
    for a, b in zip(back.chunks, cache.chunks, strict=True):
        same(a.codes, b.codes)
        same(a.scale.reshape(1), b.scale.reshape(1))
    for key in cache.by_layer:
        same(back.by_layer[key], cache.by_layer[key])
    assert back.window.maxlen == 2
    for a, b in zip(back.window, cache.window, strict=True):
        same(a, b)
    same(back.named.left, cache.named.left)
    same(back.order["k"], cache.order["k"])
    assert type(back.order) is OrderedDict
    for name in ("length", "seen", "shape", "dtype"):
        same(getattr(back, name), getattr(cache, name))
    same(back.masks[0], cache.masks[0])
    assert back.masks[1:] == (None, 1.5)


def test_everything_comes_back_with_its_sharing():
    cache, public = Cache().fill(200, n=7), skeleton()
    back = through(cache, public)
    check_equal(back, cache)
    # What was one object is one object, cycles included; a bound method is bound to the copy.
    assert back.latest is back.chunks[-1]
    assert back.again[0] is back.chunks
    assert back.again[1] is back
    assert back.step() == 200
    assert back.model is MODEL
    # Bob's cache is his own: writing into it does not change the skeleton.
    back.rotation.zero_()
    assert torch.equal(public.root.rotation, torch.eye(64))


def test_a_copy_is_the_same_and_shares_nothing():
    cache = Cache().fill(3)
    twin = copy_graph(cache, World([MODEL]))
    check_equal(twin, cache)
    assert twin.latest is twin.chunks[-1]
    twin.by_layer[0].zero_()
    twin.chunks.clear()
    assert cache.by_layer[0].any()
    assert len(cache.chunks) == 4


def test_what_the_skeleton_has_costs_a_byte():
    public = skeleton()
    assert len(pack_state(Cache().fill(1), public)) == 1
    # A rotation of 16 kB is never sent; its change is.
    cache = Cache().fill(200)
    # 400 bytes of integers, 250 of tensors, and less than a dozen a node.
    assert len(pack_state(cache, public)) < 850
    cache.rotation[0, 0] = 2
    assert 16384 < len(pack_state(cache, public)) < 16384 + 850


def test_a_slice_is_paid_for_as_a_slice():
    public = Skeleton({"keys": torch.zeros(8, 2)}, World())
    packing = Packing({"keys": torch.rand(1000, 2)[:8]}, public)
    # Beside them: a dict, its kind, its one key, a tensor like the public one, its length.
    assert len(packing.message) == 64 + 8
    assert [one.untyped_storage().nbytes() for one in packing.sent] == [8000]
    back = unpack_state(packing.message, public)
    assert back["keys"].untyped_storage().nbytes() == 64


def test_booleans_are_bits():
    public = Skeleton([torch.zeros(1)], World())
    mask = torch.rand(50, 100) > 0.5
    message = pack_state([mask], public)
    assert 625 <= len(message) < 650
    assert torch.equal(unpack_state(message, public)[0], mask)


def test_equal_parts_of_one_skeleton_part_stay_apart():
    shared = torch.ones(3)
    public = Skeleton([shared, shared], World())
    back = through([torch.ones(3), torch.ones(3)], public)
    assert back[0] is not back[1]
    back = through([shared, shared], public)
    assert back[0] is back[1]


def test_what_cannot_be_sent_is_named():
    class Other:
        def __init__(self):
            self.x = 1

    public = Skeleton(Cache(), World([MODEL]))
    cache = Cache()
    cache.by_layer = {0: Other()}
    with pytest.raises(PluginFailure, match=r"Cache\.by_layer\[0\] holds a .*Other"):
        pack_state(cache, public)
    cache.by_layer = {0: np.array([object()])}
    with pytest.raises(PluginFailure, match="array of object"):
        pack_state(cache, public)
    cache.by_layer = {0: torch.empty(2, device="meta")}
    with pytest.raises(PluginFailure, match="on meta"):
        pack_state(cache, public)


def test_bytes_from_strangers():
    cache, public = Cache().fill(200), skeleton()
    message = pack_state(cache, public)
    for cut in range(len(message)):
        with pytest.raises(BadInput, match="does not fit this cache"):
            unpack_state(message[:cut], public)
    coins = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        torn = bytearray(message)
        for at in coins.integers(0, len(torn), size=coins.integers(1, 4)):
            torn[at] = coins.integers(256)
        try:
            assert type(unpack_state(bytes(torn), public)) is Cache
        except BadInput:
            refused += 1
    # Most bytes are elements of tensors, which may be anything.
    assert 200 < refused < 2000


@pytest.mark.parametrize(
    "tree",
    [
        b"\xc0",  # None
        b"\x91\x00",  # node 0 again, before there is one
        b"\x93\x05\xff\x00",  # a negative number
        b"\x92\x05\xcd\x7f\xff",  # a number that the skeleton has not
        b"\x94\x02\x00\x91\xcf\x00\x00\x7f\xff\xff\xff\xff\xff\xc4\x00",  # a huge tensor, no bytes
        b"\x91" * 5000 + b"\x90",  # deep
        b"\x94\x09\x00\x91\xa9__class__\x90",  # a name that is no attribute
    ],
)
def test_crafted_trees(tree):
    with pytest.raises(BadInput):
        unpack_state(tree, skeleton())


def test_the_skeleton_is_copied_once_at_most():
    import msgpack

    table = torch.zeros(1000)
    public = Skeleton({"a": table, "b": table}, World())
    # Code 12 is a dict, and an empty list what the skeleton has there.
    assert unpack_state(msgpack.packb([12, None, "a", []]), public)["a"].shape == (1000,)
    with pytest.raises(BadInput):
        unpack_state(msgpack.packb([12, None, "a", [], "b", []]), public)


def test_tensors_of_tensors():
    quanto = pytest.importorskip("optimum.quanto", reason="quanto's tensors are such")
    from kvbarrier.compressors.engines.hf.cache_makers import _spare_the_compiler

    _spare_the_compiler()

    def quantized(seed):
        x = torch.randn((1, 2, 64, 64), generator=torch.Generator().manual_seed(seed))
        scale, shift = quanto.MaxOptimizer()(x, quanto.qint2, 0, 64)
        return quanto.quantize_weight(x, quanto.qint2, 0, scale, shift, 64)

    public, mine = Skeleton([quantized(0)], World()), quantized(1)
    message = pack_state([mine], public)
    # 2 bits a number, and a scale and a shift in float32 for 64 of them.
    assert 0 <= len(message) - (8192 // 4 + 2 * 4 * 8192 // 64) < 300
    back = unpack_state(message, public)[0]
    assert torch.equal(back.dequantize(), mine.dequantize())
    twin = copy_graph(mine, World())
    assert torch.equal(twin.dequantize(), mine.dequantize())
    assert twin._data._data.data_ptr() != mine._data._data.data_ptr()


class Recording:
    """Keeps a buffer, and what it hands out is a view of it."""

    def __init__(self, n, seed):
        coins = torch.Generator().manual_seed(seed)
        self.record = torch.rand((2, 4, n, 8), generator=coins).to(torch.bfloat16)
        self.keys = self.record[0, :, : n - 3]
        self.both = [self.record[1], np.arange(5 * seed)]
        self.heads = self.record[:, :1].expand(2, 16, n, 8)
        self.order = self.both[1][2:]


def test_tensors_over_the_same_bytes_are_sent_once_and_stay_so():
    public, mine = Skeleton(Recording(50, 1), World()), Recording(50, 2)
    message = pack_state(mine, public)
    # 3,200 numbers of 2 bytes and 10 of 8; their shapes and strides, twenty bytes each.
    assert 6480 < len(message) < 6480 + 200
    for back in (unpack_state(message, public), copy_graph(mine, World())):
        for name in ("record", "keys", "heads"):
            same(getattr(back, name), getattr(mine, name))
        same(back.both[0], mine.both[0])
        same(back.order, mine.order)
        back.record[:, :, 7] = 3
        assert (back.keys[:, 7] == 3).all()
        assert (back.heads[1, 9, 7] == 3).all()
        assert (back.both[0][:, 7] == 3).all()
        assert not (mine.keys[:, 7] == 3).any()


def test_a_row_of_a_public_table_does_not_bring_the_table():
    class Cached:
        def __init__(self, seed):
            self.table = torch.arange(10_000.0)
            self.row = self.table[seed : seed + 10]

    message = pack_state(Cached(7), Skeleton(Cached(3), World()))
    assert len(message) < 40 + 12


def test_shared_memory_from_strangers():
    public = Skeleton(Recording(20, 1), World())
    message = pack_state(Recording(20, 2), public)
    for cut in range(0, len(message), 7):
        with pytest.raises(BadInput, match="does not fit this cache"):
            unpack_state(message[:cut], public)
    coins = np.random.default_rng(1)
    for _ in range(500):
        torn = bytearray(message)
        for at in coins.integers(0, 60, size=2):
            torn[at] = coins.integers(256)
        for at in coins.integers(len(torn) - 300, len(torn), size=2):
            torn[at] = coins.integers(256)
        with contextlib.suppress(BadInput):
            assert type(unpack_state(bytes(torn), public)) is Recording


def scaled(x, by):
    return x * by


class Serving:
    def __init__(self, seed, by=2.0):
        self.lock, self.turn = threading.Lock(), threading.Condition()
        self.log, self.device = logging.getLogger("kvbarrier.tests"), torch.device("cpu")
        self.scale = functools.partial(scaled, by=torch.full((3,), by))
        self.step = functools.partial(torch.add, alpha=2)
        self.rows = torch.full((4,), float(seed))


def test_locks_loggers_devices_and_partials_are_public():
    public = Skeleton(Serving(1), World())
    message = pack_state(Serving(2), public)
    assert len(message) < 16 + 30
    back = unpack_state(message, public)
    assert back.rows.tolist() == [2] * 4
    assert back.step(torch.ones(1), torch.ones(1)).item() == 3
    assert copy_graph(Serving(2), World()).rows.tolist() == [2] * 4
    with pytest.raises(PluginFailure, match=r"Serving\.scale holds a functools\.partial"):
        pack_state(Serving(2, by=3.0), public)


def test_what_cannot_be_sent_is_named_by_its_path():
    class Other:
        pass

    public = Skeleton({"layers": [Cache()]}, World([MODEL]))
    cache = {"layers": [Cache()]}
    cache["layers"][0].by_layer = {"sink": [1, Other()]}
    with pytest.raises(
        PluginFailure, match=r"dict\['layers'\]\[0\]\.by_layer\['sink'\]\[1\] holds"
    ):
        pack_state(cache, public)
