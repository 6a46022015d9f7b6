"""Bytes read as plain data: arrays, containers, and nothing that could run.

Any exception in here means that the bytes are not ours; whoever reads a message turns it into
:func:`torn`, the one error there is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
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
    SAME,
    SCALAR,
    SCALARS,
    SET,
    SHARED,
    TUPLE,
    VIEW,
    dtype_name,
)
from .sharing import Held, Memory


@dataclass(frozen=True)
class Marker:
    """The head of a list that is not a list: which container it is."""

    code: int


@dataclass(frozen=True)
class Rows:
    """A list in which nothing is a marker: numbers, or the rows of an array."""

    items: list[Any] | NDArray[Any]

    def listed(self, again: bool) -> list[Any]:
        """The list; ``again``: one that shares nothing that can be changed with the last one."""
        if isinstance(self.items, list):
            return list(self.items)
        rows = self.items.copy() if again else self.items
        # Iterating one dimension gives scalars, where arrays of no dimension were packed.
        return list(rows) if rows.ndim > 1 else [rows[i, ...] for i in range(len(rows))]


@dataclass(frozen=True)
class Same:
    """Elements of an array whose dtype and shape the fresh instance knows."""

    data: bytes


@dataclass(frozen=True)
class View:
    """An array over shared memory: which memory, which of its layouts, and the dtype."""

    memory: int
    layout: int
    dtype: np.dtype[Any]


_NO_VALUES = (Marker, Same, dict, msgpack.Timestamp)


def torn(message: bytes) -> PluginFailure:
    """The one error for bytes that are not ours."""
    return PluginFailure(
        f"a message of {len(message)} bytes was not made by the inherited save(): write save() "
        "and restore() as a pair, or neither."
    )


def parse_tree(message: bytes) -> Any:
    """Parse the msgpack: arrays are built, containers are still lists with markers."""
    return msgpack.unpackb(message, ext_hook=_extension, unicode_errors="surrogatepass")


def with_memories(tree: Any) -> tuple[list[Memory], Any]:
    """The memories that arrays share, and the tree that was packed beside them."""
    if type(tree) is list and tree and type(tree[0]) is Marker and tree[0].code == SHARED:
        _, memories, inner = tree
        return [Memory(one) for one in memories], inner
    return [], tree


def decode(tree: Any, memories: Sequence[Held] = (), again: bool = False, depth: int = 0) -> Any:
    """Rebuild containers from a parsed tree; any exception means that it is not one of ours.

    ``memories``: what arrays share, filled for this time. ``again``: the tree was decoded before;
    nothing that can be changed is shared with that.
    """
    kind = type(tree)
    if kind is View:
        return memories[tree.memory].array(tree.layout, tree.dtype)
    if kind is Rows:
        return tree.listed(again)
    if again and kind is np.ndarray:
        return tree.copy()
    if again and kind is bytearray:
        return bytearray(tree)
    if kind is not list:
        if kind in _NO_VALUES:
            raise ValueError("a marker where a value should be")
        return tree
    if depth > 2 * MAX_DEPTH + 4:
        raise ValueError("too deep")
    if not (tree and type(tree[0]) is Marker):
        return [decode(item, memories, again, depth + 1) for item in tree]
    code = tree[0].code
    items = [decode(item, memories, again, depth + 1) for item in tree[1:]]
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
        return Rows(rows)
    if code == SCALARS:
        rows = _array(data)
        if rows.ndim != 1:
            raise ValueError("not scalars")
        return Rows(list(rows))
    if code == FLOATS:
        return Rows(np.frombuffer(data, dtype="<f8").tolist())
    if code == SCALAR:
        return _array(data)[()]
    if code == BIGINT:
        return int.from_bytes(data, "little", signed=True)
    if code == COMPLEX:
        return complex(np.frombuffer(data, dtype=np.complex128)[0])
    if code == BYTEARRAY:
        return bytearray(data)
    if code == VIEW:
        memory, at = _read_varint(data, 0)
        number, at = _read_varint(data, at)
        return View(memory, number, _dtype(data[at:].decode()))
    if TUPLE <= code <= SHARED and not data:
        return Marker(code)
    raise ValueError("an unknown extension")


def _array(data: bytes) -> NDArray[Any]:
    dtype, shape, start = array_head(data)
    return from_raw(memoryview(data)[start:], dtype, shape)


def array_head(data: bytes) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """The dtype, the shape and where the elements start."""
    code, at = data[0], 1
    name = DTYPES[code] if code != NAMED else data[2 : (at := 2 + data[1])].decode()
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
