"""Plain data as bytes and back, exactly: numbers, text, NumPy arrays, and containers of them.

msgpack carries the structure; extension types carry what msgpack lacks. No pickle: foreign bytes
can only become plain data, in memory at most a fixed multiple of their length, or one clear error.
The bytes are deterministic: equal data in equal order are equal bytes.

Rows need no header each: a list of equal-shaped arrays is sent as one stacked array, a
list of equal tuples (the natural ``cache.append((k, v))``) column by column, and booleans as bits.
"""

from __future__ import annotations

import random
import types
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from ...errors import PluginFailure
from .plain_codes import (
    ARRAY,
    BIGINT,
    BYTEARRAY,
    COLUMNS,
    COMPLEX,
    DEQUE,
    DTYPES,
    FLOATS,
    FROZENSET,
    MAP,
    MAX_DEPTH,
    NAMED,
    ROWS,
    SCALAR,
    SCALARS,
    SET,
    SHARED,
    TUPLE,
    VIEW,
    dtype_name,
)
from .plain_reading import decode, parse_tree, torn, with_memories
from .sharing import layout_of, lie_apart, shared, written

_COINS = (np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)
_SIMPLE = (int, bool, str, bytes, float, type(None))
Views = Mapping[int, Any]
_NONE: Views = {}


def pack_plain(data: Any, name: str = "data") -> bytes:
    """Return plain data as bytes.

    Args:
        data: None, bool, int, float, complex, str, bytes, bytearray, NumPy scalars and arrays
            (ml_dtypes included), and lists, tuples, dicts, sets, frozensets and deques of them.
        name: what to call it in an error.

    Raises:
        PluginFailure: something in it is not plain data; the sentence names where and what to do.

    >>> pack_plain([1, "two", None]).hex()
    '9301a374776fc0'
    """
    return pack_shared(data, lambda views: encode(data, name, views=views))


def unpack_plain(message: bytes) -> Any:
    """Return what :func:`pack_plain` packed: same types, same bits, arrays writable.

    Raises:
        PluginFailure: the bytes are not a message of ours.
    """
    try:
        memories, tree = with_memories(parse_tree(message))
        return decode(tree, [one.filled() for one in memories])
    except Exception as error:
        raise torn(message) from error


def pack_tree(tree: Any) -> bytes:
    """msgpack, with lone surrogates of Python strings kept."""
    return bytes(msgpack.packb(tree, unicode_errors="surrogatepass", strict_types=True))


def pack_shared(data: Any, tree_of: Callable[[Views], Any]) -> bytes:
    """The message of ``tree_of({})``, or a shorter one with what arrays share sent once.

    Args:
        data: containers in which the arrays lie.
        tree_of: the tree, where the arrays in ``views`` are written so.

    Bytes that arrays share come first: [SHARED, [memories], tree].
    """
    message = pack_tree(tree_of({}))
    arrays = _arrays(data)
    memories = [] if lie_apart(arrays) else shared([layout_of(one) for one in arrays])
    if not memories:
        return message
    views, trees = {}, []
    for m, memory in enumerate(memories):
        parts = [arrays[i] for i in memory.members]
        trees.append(written(memory, [_bytes_of(one) for one in parts]))
        for number, one in zip(memory.numbers(), parts, strict=True):
            name = str(dtype_name(one.dtype)).encode()
            views[id(one)] = msgpack.ExtType(VIEW, _varint(m) + _varint(number) + name)
    return min(message, pack_tree([_mark(SHARED), trees, tree_of(views)]), key=len)


def _arrays(data: Any) -> list[NDArray[Any]]:
    """The arrays in containers, each as often as it is there."""
    found: list[NDArray[Any]] = []
    waiting = [data]
    while waiting:
        one = waiting.pop()
        kind = type(one)
        if kind is np.ndarray:
            if dtype_name(one.dtype) is not None:
                found.append(one)
        elif kind in (list, tuple, deque):
            waiting += reversed(one)
        elif kind is dict:
            waiting += reversed(one.values())
    return found


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8[*shape, itemsize]."""
    flat = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    return flat.reshape(*array.shape, array.itemsize)


def refusal(path: str, value: Any) -> PluginFailure:
    """The error for a value that cannot travel, with what to do instead."""
    kind = type(value)
    home = kind.__module__.partition(".")[0]
    advice = (
        "keep numbers, text, NumPy arrays, or lists, tuples, dicts and sets of them, "
        "make objects of your own in the constructor, or write save() and restore()"
    )
    if isinstance(value, _COINS):
        advice = "draw from self.rng(t), the public coins of step t, which have no state to send"
    elif home == "torch":
        advice = "store tensor.numpy() and make the tensor again when you need it"
    elif isinstance(value, np.ndarray):
        advice = "make it an array of numbers with np.asarray"
    elif callable(value) or isinstance(value, types.ModuleType):
        advice = "store what it is made from, and make it a method"
    what = f"an array of {value.dtype}" if kind is np.ndarray else f"a {home}.{kind.__qualname__}"
    if home == "builtins":
        what = f"a {kind.__name__}"
    return PluginFailure(f"{path} is {what}, which is not plain data: {advice}.")


def encode(value: Any, path: str, depth: int = 0, views: Views = _NONE) -> Any:
    """Return the msgpack tree of plain data; ``path`` names the value in errors.

    ``views`` has what is written for an array that shares its memory, by id.
    """
    kind = type(value)
    if kind is int and not -(1 << 63) <= value < 1 << 64:
        size = value.bit_length() // 8 + 1
        return msgpack.ExtType(BIGINT, value.to_bytes(size, "little", signed=True))
    if kind in _SIMPLE:
        return value
    if kind is np.ndarray:
        return views.get(id(value)) or msgpack.ExtType(ARRAY, _array_data(value, path))
    if isinstance(value, np.generic):
        return msgpack.ExtType(SCALAR, _array_data(np.asarray(value), path))
    if kind is complex:
        return msgpack.ExtType(COMPLEX, np.complex128(value).tobytes())
    if kind is bytearray:
        return msgpack.ExtType(BYTEARRAY, bytes(value))
    if depth > MAX_DEPTH:
        raise PluginFailure(f"{path} is nested deeper than {MAX_DEPTH} levels: flatten it.")
    if kind is list:
        return _rows(value, path, depth, views)
    if kind is tuple:
        return [_mark(TUPLE), *_each(value, path, depth, views)]
    if kind is deque:
        return [_mark(DEQUE), value.maxlen, _rows(list(value), path, depth, views)]
    if kind is dict:
        keys, values = list(value), list(value.values())
        names = f"the keys of {path}"
        rows = _rows(values, path, depth, views, keys)
        return [_mark(MAP), _rows(keys, names, depth, views), rows]
    if kind in (set, frozenset):
        items = sorted(_each(value, path, depth, views), key=pack_tree)
        return [_mark(SET if kind is set else FROZENSET), *items]
    raise refusal(path, value)


def _mark(code: int) -> Any:
    return msgpack.ExtType(code, b"")


def _each(
    values: Any, path: str, depth: int, views: Views, names: list[Any] | None = None
) -> list[Any]:
    return [
        encode(item, f"{path}[{i if names is None else names[i]!r}]", depth + 1, views)
        for i, item in enumerate(values)
    ]


def _rows(
    values: list[Any], path: str, depth: int, views: Views, names: list[Any] | None = None
) -> Any:
    """A list: stacked when its items are alike, column by column when they are alike tuples."""
    if len(values) > 1:
        first = values[0]
        if type(first) is tuple and first and _alike_tuples(values):
            columns = [_stack([row[c] for row in values], path, views) for c in range(len(first))]
            if all(column is not None for column in columns):
                return [_mark(COLUMNS), *columns]
        stacked = _stack(values, path, views)
        if stacked is not None:
            return stacked
    return _each(values, path, depth, views, names)


def _alike_tuples(values: list[Any]) -> bool:
    return all(type(row) is tuple and len(row) == len(values[0]) for row in values)


def _stack(values: list[Any], path: str, views: Views) -> Any:
    """One extension for a list of alike arrays, NumPy scalars or floats; else None."""
    first = values[0]
    kind = type(first)
    if kind is float:
        if all(type(value) is float for value in values):
            return msgpack.ExtType(FLOATS, np.array(values, dtype="<f8").tobytes())
        return None
    scalar = isinstance(first, np.generic)
    if not (scalar or (kind is np.ndarray and first.size)) or dtype_name(first.dtype) is None:
        return None
    if not all(
        type(v) is kind and v.dtype == first.dtype and v.shape == first.shape for v in values
    ):
        return None
    if any(id(value) in views for value in values):
        return None
    rows = np.stack(values, dtype=first.dtype)
    return msgpack.ExtType(SCALARS if scalar else ROWS, _array_data(rows, path))


def raw_bytes(array: NDArray[Any]) -> bytes:
    """The elements in C order; booleans as bits."""
    return np.packbits(array).tobytes() if array.dtype == np.bool_ else array.tobytes()


def _array_data(array: NDArray[Any], path: str) -> bytes:
    name = dtype_name(array.dtype)
    if name is None:
        raise refusal(path, array)
    if name in DTYPES:
        head = bytes([DTYPES.index(name)])
    else:
        head = bytes([NAMED, len(name)]) + name.encode()
    return head + b"".join(map(_varint, (array.ndim, *array.shape))) + raw_bytes(array)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
