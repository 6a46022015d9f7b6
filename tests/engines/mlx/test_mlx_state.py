"""The message of MLX caches: it is the state, a view is paid for once, and nothing is shared."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

mx = pytest.importorskip("mlx.core", reason="these caches hold arrays of MLX")

from kvbarrier.compressors.engines.mlx.state import (  # noqa: E402
    Packing,
    Template,
    copied,
    logical,
    pack,
    resident,
    to_numpy,
    unpack,
)
from kvbarrier.errors import PluginFailure  # noqa: E402


class Codes(NamedTuple):
    norms: Any
    packed: Any


class Rotation:
    def __init__(self, seed: int) -> None:
        self.matrix = mx.random.normal((8, 8), key=mx.random.key(seed))


class Cache:
    """Like published ones: an array, views of it, a NamedTuple, an object, plain data."""

    def __init__(self, seed: int, heads: int = 2, dtype: Any = mx.bfloat16) -> None:
        self.keys = mx.random.normal((1, heads, 64, 8), key=mx.random.key(seed)).astype(dtype)
        self.by_head = [self.keys[0, h] for h in range(heads)]
        self.codes = Codes(np.full(4, seed, np.float32), mx.arange(seed, seed + 6))
        self.rotation = Rotation(0)
        self.offset, self.bits, self.named = seed, 4.0, {"low": None, "high": "x"}
        self.text = b"entropy" * seed


KEYS = 2 * 64 * 8 * 2  # bytes of 2 heads, 64 rows, d = 8 in 16 bits


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "uint32"])
def test_arrays_change_sides_bit_by_bit(dtype: str) -> None:
    bits = np.random.default_rng(0).integers(0, 2**16, (3, 5), np.uint16)
    array = bits.view(ml_dtypes.bfloat16) if dtype == "bfloat16" else bits.astype(dtype)
    template = Template([Cache(1)])
    one, back = Cache(1), None
    one.keys = mx.array(bits).view(mx.bfloat16) if dtype == "bfloat16" else mx.array(array)
    (back,) = unpack(pack([one], template), template)
    assert back.keys.dtype == one.keys.dtype
    assert to_numpy(back.keys).tobytes() == array.tobytes()


def test_a_cache_comes_back_and_views_are_sent_once() -> None:
    template = Template([Cache(1), Cache(1)])
    caches = [Cache(2), Cache(3)]
    sent = Packing(caches, template)
    backs = unpack(sent.message, template)
    for back, one in zip(backs, caches, strict=True):
        assert to_numpy(back.keys).tobytes() == to_numpy(one.keys).tobytes()
        for mine, theirs in zip(back.by_head, one.by_head, strict=True):
            assert to_numpy(mine).tobytes() == to_numpy(theirs).tobytes()
        assert type(back.codes) is Codes
        assert back.codes.packed.tolist() == one.codes.packed.tolist()
        assert back.codes.norms.tolist() == one.codes.norms.tolist()
        assert (back.offset, back.bits, back.named) == (one.offset, 4.0, one.named)
        assert back.text == one.text
    # Keys, norms and codes of two caches, and two texts; the rotation is the template's.
    data = 2 * (KEYS + 4 * 4 + 6 * 4) + 7 * (2 + 3)
    assert logical(sent.sent) == resident(sent.sent) == data
    assert data < len(sent.message) < data + 700


def test_what_equals_the_template_is_not_sent() -> None:
    assert len(pack([Cache(1)], Template([Cache(1)]))) < 40


def test_a_copy_shares_nothing_that_can_be_changed() -> None:
    template = Template([Cache(1)])
    one = [Cache(2)]
    for twin in (copied(one, template), unpack(pack(one, template), template)):
        twin[0].keys[0, 0, 0] = mx.zeros(8, mx.bfloat16)
        twin[0].rotation.matrix[0] = mx.zeros(8)
        twin[0].by_head.append(None)
    assert to_numpy(one[0].keys).tobytes() == to_numpy(Cache(2).keys).tobytes()
    whole = to_numpy(template.root[0].rotation.matrix)
    assert whole.tobytes() == to_numpy(Rotation(0).matrix).tobytes()
    assert len(one[0].by_head) == 2


def test_memory_that_is_shared_is_resident_once() -> None:
    whole = mx.arange(100)
    mx.eval(whole)
    assert resident([whole, whole[10:20]]) == 400
    assert resident([mx.arange(100), mx.arange(100) + 1]) == 800


def test_what_the_template_does_not_know_is_refused_by_its_place() -> None:
    one = Cache(2)
    one.codes = object()
    with pytest.raises(PluginFailure, match=r"cache\.codes holds a builtins\.object"):
        pack([one], Template([Cache(1)]))


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_other_bytes_are_refused(cut: int) -> None:
    template = Template([Cache(1)])
    message = pack([Cache(2)], template)
    with pytest.raises(PluginFailure):
        unpack(message[:cut], template)
    with pytest.raises(LookupError):
        unpack(message, Template([Rotation(0)]))
