"""Plain data as bytes and back, exactly: numbers, text, NumPy arrays, and containers of them.

msgpack carries the structure, extension types what msgpack lacks. No pickle: bytes from a stranger
can only become plain data, in memory at most a fixed multiple of their length, or one clear error.
The bytes are deterministic: equal data in equal order are equal bytes.

Rows are not paid for one by one: a list of equal-shaped arrays is sent as one stacked array, a
list of equal tuples (the natural ``cache.append((k, v))``) column by column, and booleans as bits.
"""

from __future__ import annotations

import math
import random
import types
from collections import deque
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from ..errors import PluginFailure

MAX_DEPTH = 32

# Extension codes. Those from TUPLE on carry no data: they are the first item of a list.
SAME, ARRAY, ROWS, SCALARS, FLOATS, SCALAR, BIGINT, COMPLEX, BYTEARRAY = range(9)
TUPLE, DEQUE, SET, FROZENSET, MAP, COLUMNS, REMOVED = range(16, 23)

_DTYPES = (
    *("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"),
    *("<c8", "<c16", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
    *("float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2fnuz"),
)
_NAMED = 255
_COINS = (np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)
_SIMPLE = (int, bool, str, bytes, float, type(None))


@dataclass(frozen=True)
class Marker:
    """The head of a list that is not a list: which container it is."""

    code: int


@dataclass(frozen=True)
class Same:
    """Elements of an array whose dtype and shape the fresh instance knows."""

    data: bytes


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
    return pack_tree(encode(data, name))


def unpack_plain(message: bytes) -> Any:
    """Return what :func:`pack_plain` packed: same types, same bits, arrays writable.

    Raises:
        PluginFailure: the bytes are not a message of ours.
    """
    try:
        return decode(parse_tree(message))
    except Exception as error:
        raise torn(message) from error


def pack_tree(tree: Any) -> bytes:
    """msgpack, with lone surrogates of Python strings kept."""
    return bytes(msgpack.packb(tree, unicode_errors="surrogatepass", strict_types=True))


def parse_tree(message: bytes) -> Any:
    """Parse the msgpack: arrays are built, containers are still lists with markers."""
    return msgpack.unpackb(message, ext_hook=_extension, unicode_errors="surrogatepass")


def refusal(path: str, value: Any) -> PluginFailure:
    """The error for a value that cannot travel, with what to do instead."""
    kind = type(value)
    home = kind.__module__.partition(".")[0]
    advice = (
        "keep numbers, text, NumPy arrays, or lists, tuples, dicts and sets of them, "
        "or write save() and restore()"
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


def torn(message: bytes) -> PluginFailure:
    """The one error for bytes that are not ours."""
    return PluginFailure(
        f"a message of {len(message)} bytes is not one that save() made: "
        "return from save() what restore() reads, unchanged."
    )


# -- encoding ------------------------------------------------------------------------------------


def encode(value: Any, path: str, depth: int = 0) -> Any:
    """Return the msgpack tree of plain data; ``path`` names the value in errors."""
    kind = type(value)
    if kind is int and not -(1 << 63) <= value < 1 << 64:
        size = value.bit_length() // 8 + 1
        return msgpack.ExtType(BIGINT, value.to_bytes(size, "little", signed=True))
    if kind in _SIMPLE:
        return value
    if kind is np.ndarray:
        return msgpack.ExtType(ARRAY, _array_data(value, path))
    if isinstance(value, np.generic):
        return msgpack.ExtType(SCALAR, _array_data(np.asarray(value), path))
    if kind is complex:
        return msgpack.ExtType(COMPLEX, np.complex128(value).tobytes())
    if kind is bytearray:
        return msgpack.ExtType(BYTEARRAY, bytes(value))
    if depth > MAX_DEPTH:
        raise PluginFailure(f"{path} is nested deeper than {MAX_DEPTH} levels: flatten it.")
    if kind is list:
        return _rows(value, path, depth)
    if kind is tuple:
        return [_mark(TUPLE), *_each(value, path, depth)]
    if kind is deque:
        return [_mark(DEQUE), value.maxlen, _rows(list(value), path, depth)]
    if kind is dict:
        keys, values = list(value), list(value.values())
        names = f"the keys of {path}"
        return [_mark(MAP), _rows(keys, names, depth), _rows(values, path, depth, keys)]
    if kind in (set, frozenset):
        items = sorted(_each(value, path, depth), key=pack_tree)
        return [_mark(SET if kind is set else FROZENSET), *items]
    raise refusal(path, value)


def _mark(code: int) -> Any:
    return msgpack.ExtType(code, b"")


def _each(values: Any, path: str, depth: int, names: list[Any] | None = None) -> list[Any]:
    return [
        encode(item, f"{path}[{i if names is None else names[i]!r}]", depth + 1)
        for i, item in enumerate(values)
    ]


def _rows(values: list[Any], path: str, depth: int, names: list[Any] | None = None) -> Any:
    """A list: stacked when its items are alike, column by column when they are alike tuples."""
    if len(values) > 1:
        first = values[0]
        if type(first) is tuple and first and _alike_tuples(values):
            columns = [_stack([row[c] for row in values], path) for c in range(len(first))]
            if all(column is not None for column in columns):
                return [_mark(COLUMNS), *columns]
        stacked = _stack(values, path)
        if stacked is not None:
            return stacked
    return _each(values, path, depth, names)


def _alike_tuples(values: list[Any]) -> bool:
    return all(type(row) is tuple and len(row) == len(values[0]) for row in values)


def _stack(values: list[Any], path: str) -> Any:
    """One extension for a list of alike arrays, NumPy scalars or floats; None: it is no such."""
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
    rows = np.stack(values, dtype=first.dtype)
    return msgpack.ExtType(SCALARS if scalar else ROWS, _array_data(rows, path))


def raw_bytes(array: NDArray[Any]) -> bytes:
    """The elements in C order; booleans as bits."""
    return np.packbits(array).tobytes() if array.dtype == np.bool_ else array.tobytes()


def _array_data(array: NDArray[Any], path: str) -> bytes:
    name = dtype_name(array.dtype)
    if name is None:
        raise refusal(path, array)
    if name in _DTYPES:
        head = bytes([_DTYPES.index(name)])
    else:
        head = bytes([_NAMED, len(name)]) + name.encode()
    return head + b"".join(map(_varint, (array.ndim, *array.shape))) + raw_bytes(array)


def dtype_name(dtype: np.dtype[Any]) -> str | None:
    """The name by which a dtype travels, or None: objects, and records with fields, do not."""
    if dtype.type.__module__.partition(".")[0] == "ml_dtypes":
        return dtype.name
    return dtype.str if dtype.kind in "biufcmMSU" and dtype.itemsize else None


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


# -- decoding ------------------------------------------------------------------------------------


def decode(tree: Any, depth: int = 0) -> Any:
    """Rebuild containers from a parsed tree; any exception means that it is not one of ours."""
    if type(tree) is not list:
        if isinstance(tree, Marker | Same | dict | msgpack.Timestamp):
            raise ValueError("a marker where a value should be")
        return tree
    if depth > 2 * MAX_DEPTH + 4:
        raise ValueError("too deep")
    if not (tree and type(tree[0]) is Marker):
        return [decode(item, depth + 1) for item in tree]
    code = tree[0].code
    items = [decode(item, depth + 1) for item in tree[1:]]
    if code == TUPLE:
        return tuple(items)
    if code == DEQUE:
        maxlen, rows = items
        return deque(rows, maxlen)
    if code == SET:
        return set(items)
    if code == FROZENSET:
        return frozenset(items)
    if code == MAP:
        keys, values = items
        return dict(zip(keys, values, strict=True))
    if code == COLUMNS:
        return list(zip(*items, strict=True))
    raise ValueError("an unknown marker")


def _extension(code: int, data: bytes) -> Any:
    if code == SAME:
        return Same(data)
    if code == ARRAY:
        return _array(data)
    if code == ROWS:
        rows = _array(data)
        if rows.size == 0:
            raise ValueError("no rows")
        return [rows[i, ...] for i in range(len(rows))]
    if code == SCALARS:
        rows = _array(data)
        if rows.ndim != 1:
            raise ValueError("not scalars")
        return [rows[i] for i in range(len(rows))]
    if code == FLOATS:
        return np.frombuffer(data, dtype="<f8").tolist()
    if code == SCALAR:
        return _array(data)[()]
    if code == BIGINT:
        return int.from_bytes(data, "little", signed=True)
    if code == COMPLEX:
        return complex(np.frombuffer(data, dtype=np.complex128)[0])
    if code == BYTEARRAY:
        return bytearray(data)
    if TUPLE <= code <= REMOVED and not data:
        return Marker(code)
    raise ValueError("an unknown extension")


def _array(data: bytes) -> NDArray[Any]:
    dtype, shape, start = array_head(data)
    return from_raw(memoryview(data)[start:], dtype, shape)


def array_head(data: bytes) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """The dtype, the shape and where the elements start."""
    code, at = data[0], 1
    name = _DTYPES[code] if code != _NAMED else data[2 : (at := 2 + data[1])].decode()
    ndim, at = _read_varint(data, at)
    if ndim > 64:
        raise ValueError("too many dimensions")
    shape = []
    for _ in range(ndim):
        size, at = _read_varint(data, at)
        shape.append(size)
    return _dtype(name), tuple(shape), at


def _dtype(name: str) -> np.dtype[Any]:
    if name[0].isalpha():
        import ml_dtypes

        named: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return named
    dtype = np.dtype(name)
    if dtype_name(dtype) is None:
        raise ValueError("not a plain dtype")
    return dtype


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 63:
            raise ValueError("a number too long")


def from_raw(raw: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A writable array from its elements' bytes, whose count must be exact."""
    count = math.prod(shape)
    if count == 0 and not raw:
        return np.empty(shape, dtype)
    bits = dtype == np.bool_
    if len(raw) != ((count + 7) // 8 if bits else count * dtype.itemsize):
        raise ValueError("bytes and shape disagree")
    flat = np.frombuffer(raw, dtype=np.uint8)
    if bits:
        return np.unpackbits(flat, count=count).view(np.bool_).reshape(shape)
    return flat.copy().view(dtype).reshape(shape)
