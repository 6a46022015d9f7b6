"""Operations are found by presence, passed on by every adapter, and refused where misspelt."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.adapters import adapt
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.plugin.operations import OPERATIONS, operate, operations_of
from kvbarrier.errors import PluginFailure

SHAPE = Shape(tokens=8, d_k=4, d_v=3)


class Rows:
    """Every operation, on plain lists; [B, d] arrays are rows like any other."""

    def __init__(self, shape):
        self.shape = shape
        self.rows = []

    def append(self, q, k, v):
        self.rows.append((k.copy(), v.copy()))

    def attend(self, q):
        K = np.stack([k for k, _ in self.rows], axis=-2)
        V = np.stack([v for _, v in self.rows], axis=-2)
        weights = np.exp(np.einsum("...nd,...d->...n", K, q))
        weights /= weights.sum(axis=-1, keepdims=True)
        return np.einsum("...n,...nd->...d", weights, V).astype(np.float32)

    def crop(self, tokens):
        del self.rows[tokens:]

    def drop(self, begin, end):
        del self.rows[begin:end]

    def select(self, indices):
        self.rows = [(k[indices], v[indices]) for k, v in self.rows]

    def fork(self):
        twin = type(self)(self.shape)
        twin.rows = list(self.rows)
        return twin

    def reset(self):
        self.rows = []

    def shift(self, by):
        pass


class Whole(Rows):
    layout = "heads"


class Saved(Rows):
    def save(self):
        return b""

    def restore(self, message):
        pass


def fed(cache, shape, tokens, sequences=()):
    rng = np.random.default_rng(1)
    heads = () if shape.layers * shape.kv_heads == 1 else (shape.layers, shape.kv_heads)
    for _ in range(tokens):
        k = rng.standard_normal((*sequences, *heads, shape.d_k)).astype(np.float32)
        v = rng.standard_normal((*sequences, *heads, shape.d_v)).astype(np.float32)
        cache.append(k, k, v)
    return cache


def asked(cache, shape, sequences=()):
    heads = () if shape.layers * shape.kv_heads == 1 else (shape.layers, shape.kv_heads)
    q = np.random.default_rng(2).standard_normal((*sequences, *heads, shape.d_k))
    return np.asarray(cache.attend(q.astype(np.float32)))


@pytest.mark.parametrize("cls", [Rows, Whole, Saved])
@pytest.mark.parametrize("heads", [1, 3])
def test_every_adapter_passes_on_what_the_inner_has(cls, heads):
    shape = Shape(tokens=8, d_k=4, d_v=3, heads=heads, kv_heads=heads)
    build = adapt(cls)
    cache = fed(build(shape), shape, 5)
    assert operations_of(cache) == tuple(OPERATIONS)
    cache.crop(3)
    expected = asked(fed(build(shape), shape, 3), shape)
    assert np.array_equal(asked(cache, shape), expected)
    twin = cache.fork()
    assert type(twin) is type(cache)
    assert twin is not cache
    fed(twin, shape, 2)
    assert np.array_equal(asked(cache, shape), expected)
    cache.reset()
    assert np.array_equal(asked(fed(cache, shape, 3), shape), expected)


@pytest.mark.parametrize("cls", [Rows, Whole])
@pytest.mark.parametrize("heads", [1, 3])
def test_a_batch_has_an_axis_of_sequences_in_front(cls, heads):
    shape = Shape(tokens=8, d_k=4, d_v=3, heads=heads, kv_heads=heads, sequences=2)
    cache = fed(adapt(cls)(shape), shape, 4, (2,))
    q = np.random.default_rng(3).standard_normal((2, 1, heads, 4) if heads > 1 else (2, 4))
    before = np.asarray(cache.attend(q.astype(np.float32)))
    cache.select([1, 1, 0])
    after = np.asarray(cache.attend(q[[1, 1, 0]].astype(np.float32)))
    assert np.array_equal(after, before[[1, 1, 0]])
    assert after.shape == ((3, 1, heads, 3) if heads > 1 else (3, 3))


def test_what_the_inner_lacks_the_adapter_lacks():
    class Plain:
        def __init__(self, shape): ...
        def append(self, q, k, v): ...
        def attend(self, q): ...

    cache = adapt(Plain)(SHAPE)
    assert operations_of(cache) == ()
    with pytest.raises(AttributeError, match="no attribute 'crop'"):
        cache.crop(1)
    assert not any(hasattr(Compressor, name) for name in OPERATIONS)


def test_an_operation_with_other_arguments_is_refused():
    class Wrong(Rows):
        def drop(self, begin): ...

    with pytest.raises(PluginFailure, match=r"drop is called with \(begin, end\)"):
        adapt(Wrong)


@pytest.mark.parametrize("value", [None, 0.1, 3])
def test_a_parameter_of_that_name_is_no_operation(value):
    class Dropout(Rows):
        drop = value

    cache = adapt(Dropout)(SHAPE)
    assert "drop" not in operations_of(cache)
    with pytest.raises(AttributeError):
        cache.drop(0, 1)


@pytest.mark.parametrize(
    ("name", "said", "sentence"),
    [
        ("crop", 3, r"Returns.crop returned a int: it must change the cache itself"),
        ("fork", None, r"Returns.fork returned None: it must return another Returns"),
        ("fork", Rows(SHAPE), r"Returns.fork returned a Rows: it must return another Returns"),
    ],
)
def test_an_operation_that_returns_something_else_is_named(name, said, sentence):
    class Returns(Rows):
        pass

    setattr(Returns, name, lambda self, *_: said)
    getattr(Returns, name).__qualname__ = f"Returns.{name}"
    cache = adapt(Returns)(SHAPE)
    with pytest.raises(PluginFailure, match=sentence):
        operate(cache, name, *(1,) * len(OPERATIONS[name]))


def test_a_fork_of_itself_is_named():
    class Same(Rows):
        def fork(self):
            return self

    with pytest.raises(PluginFailure, match=r"Same\.fork returned itself"):
        operate(adapt(Same)(SHAPE), "fork")
