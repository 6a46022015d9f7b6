"""The state of a built-in: one flat buffer of bytes with aligned views, and no header.

Shapes are public, so the buffer is the message. A slot that holds nothing holds NaN: how full a
cache is needs no counter, and a cache that fits its budget exactly stays that small.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput, PluginFailure, did_you_mean

#: the storage formats by name, and bytes a number
FORMATS = {"fp32": 4, "fp16": 2, "bf16": 2, "fp8": 1}

Rows = slice | NDArray[np.int64]


def storage_dtype(name: str) -> np.dtype[Any]:
    """The dtype of a format: float32, float16, bfloat16, or float8_e4m3fn for "fp8".

    Raises:
        BadInput: there is no such format; did you mean.

    >>> storage_dtype("fp16")
    dtype('float16')
    """
    if name not in FORMATS:
        raise BadInput(f"There is no number format '{name}'.{did_you_mean(name, FORMATS)}")
    if name in ("fp32", "fp16"):
        return np.dtype(np.float32 if name == "fp32" else np.float16)
    import ml_dtypes

    narrow: np.dtype[Any] = np.dtype(
        ml_dtypes.bfloat16 if name == "bf16" else ml_dtypes.float8_e4m3fn
    )
    return narrow


def check_fits(rows: NDArray[Any], dtype: np.dtype[Any], name: str) -> None:
    """Refuse numbers that are NaN or infinite, or would be in the format.

    Raises:
        BadInput: there is such a number; ``name`` is the compressor's.
    """
    # Rounding is monotone: if the largest magnitude stays finite, all do. NaN wins every maximum.
    with np.errstate(over="ignore", invalid="ignore"):
        peak = np.maximum(rows.max(initial=0), -rows.min(initial=0)).astype(dtype)
    if not np.isfinite(peak):
        raise BadInput(
            f"{name} was given a number that is not finite as {dtype.name}: "
            "keep NaN and infinity out of the stream, and large numbers in a wider format."
        )


def to_storage(rows: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Numbers in their storage format, to nearest, ties to even; raises as :func:`check_fits`."""
    rows = np.asarray(rows)
    check_fits(rows, dtype, name)
    return narrowed(rows, dtype)


def narrowed(rows: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers that fit a storage format in it, to nearest, ties to even."""
    # A cast goes number by number, and Bob's own tokens are mostly 0 throughout.
    if rows.any() or np.signbit(rows).any():
        return rows.astype(dtype)
    return np.zeros(rows.shape, dtype)


def from_storage(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Stored numbers as float32, exactly."""
    if stored.dtype.itemsize == 4:
        return stored.astype(np.float32)
    # A cast goes number by number; there are at most 2^16 numbers.
    place = np.dtype(f"u{stored.dtype.itemsize}")
    return _all_numbers(stored.dtype).take(stored.view(place))


@functools.cache
def _all_numbers(dtype: np.dtype[Any]) -> NDArray[np.float32]:
    every = np.arange(1 << (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}")
    return every.view(dtype).astype(np.float32)


class State:
    """Named arrays in one buffer, empty at first: floating-point fields NaN, the others 0.

    Args:
        fields: name -> (shape, dtype), the widest dtype first, so that no padding is needed.

    >>> state = State(seen=((1,), np.int64), k=((3, 2), np.float16))
    >>> len(state.to_bytes()), float(state["k"][0, 0])
    (20, nan)
    """

    def __init__(self, **fields: tuple[tuple[int, ...], Any]) -> None:
        self._layout: dict[str, tuple[slice, np.dtype[Any], tuple[int, ...]]] = {}
        at = 0
        for name, (shape, format_) in fields.items():
            dtype = np.dtype(format_)
            if at % dtype.itemsize:
                raise AssertionError(f"field {name} is not aligned: put wider dtypes first")
            end = at + int(np.prod(shape)) * dtype.itemsize
            self._layout[name] = slice(at, end), dtype, shape
            at = end
        self.nbytes = at
        """Bytes of the buffer."""
        self._loaded: dict[str, NDArray[Any]] = {}

    @cached_property
    def _fields(self) -> dict[str, NDArray[Any]]:
        """Made when one is first needed: who is only asked what it declares takes no memory."""
        buffer, fields = np.zeros(self.nbytes, dtype=np.uint8), {}
        for name, (place, dtype, shape) in self._layout.items():
            fields[name] = view = buffer[place].view(dtype).reshape(shape)
            held = self._loaded.pop(name, view[:0])
            view[: len(held)] = held
            if dtype.kind not in "iub":
                view[len(held) :] = np.nan
        return fields

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._fields[name]

    def read(self, name: str) -> NDArray[Any]:
        """A field, to be read only, up to where it is as it was made.

        After :meth:`load` that is the message's own memory until something is to be written: who
        only answers needs no state beside it.
        """
        return self._loaded[name] if name in self._loaded else self[name]

    def to_bytes(self, rows: Mapping[str, Rows] | None = None) -> bytes:
        """The fields, one after another; of a field named in ``rows`` only these rows, in order."""
        return b"".join(self.pieces(rows))

    def pieces(self, rows: Mapping[str, Rows] | None = None) -> list[memoryview]:
        """What :meth:`to_bytes` joins: rows in a row lie where they are."""
        rows = rows or {}
        return [
            np.ascontiguousarray(field[rows[name]] if name in rows else field)
            .reshape(-1)
            .view(np.uint8)
            .data
            for name, field in self._fields.items()
        ]

    def load(self, message: bytes, rows: Mapping[str, int] | None = None) -> None:
        """Read what :meth:`to_bytes` wrote; of a field named in ``rows`` the first so many rows.

        Raises:
            PluginFailure: the message has another length.
        """
        shapes = {
            name: (rows[name], *shape[1:]) if rows and name in rows else shape
            for name, (_, _, shape) in self._layout.items()
        }
        sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        wanted = sum(size * self._layout[name][1].itemsize for name, size in sizes.items())
        if len(message) != wanted:
            raise PluginFailure(
                f"A message of {len(message)} bytes is not one of this compressor, whose messages "
                f"have {wanted}: build Alice and Bob from the same public parameters."
            )
        at = 0
        for name, shape in shapes.items():
            part = np.frombuffer(message, self._layout[name][1], sizes[name], at).reshape(shape)
            at += part.nbytes
            if "_fields" in self.__dict__:
                self[name][: len(part)] = part
            else:
                self._loaded[name] = part
