"""Results that are found again by the bytes of the arrays they were made from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Arrays = Sequence[NDArray[Any]]


class _Entry(NamedTuple, Generic[T]):
    begins: tuple[Any, ...]
    arrays: Arrays
    result: T
    size: int


class Memo(Generic[T]):
    """The last results of a function of C-contiguous arrays.

    It holds copies, so that arrays may change afterwards, and compares every byte, so that a result
    is never that of other arrays. Nothing is written down: it ends with the process.

    Args:
        most: bytes of arrays to hold; the longest unused go first, and what is larger is not held.

    >>> squares = Memo(most=1 << 10)
    >>> x = np.arange(3.0)
    >>> squares.keep([x], x * x, size=24)
    >>> squares.find([x.copy()]).tolist(), squares.find([x + 1])
    ([0.0, 1.0, 4.0], None)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: list[_Entry[T]] = []
        self._lock = threading.Lock()

    def find(self, arrays: Arrays) -> T | None:
        """The result kept for arrays of these shapes, types and bytes, or None."""
        begins = _begins(arrays)
        with self._lock:
            for at in range(len(self._held) - 1, -1, -1):
                one = self._held[at]
                if one.begins == begins and all(map(_same_bytes, one.arrays, arrays)):
                    self._held.append(self._held.pop(at))
                    return self._held[-1].result
        return None

    def keep(self, arrays: Arrays, result: T, size: int) -> None:
        """Keep a result, itself of ``size`` bytes."""
        size += sum(a.nbytes for a in arrays)
        if size > self._most:
            return
        entry = _Entry(_begins(arrays), [a.copy() for a in arrays], result, size)
        with self._lock:
            self._held.append(entry)
            while sum(one.size for one in self._held) > self._most:
                del self._held[0]


def remembered(most: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """A pure function of arrays and numbers that finds its last results again (:class:`Memo`).

    ``most``: bytes of arguments to hold. A result should not be larger than its arguments, is the
    same object each time, and is not None.

    >>> @remembered(most=1 << 10)
    ... def shifted(x, by):
    ...     print("computed")
    ...     return x + by
    >>> shifted(np.arange(2), 1).tolist(), shifted(np.arange(2), 1).tolist()
    computed
    ([1, 2], [1, 2])
    """

    def decorated(function: Callable[..., T]) -> Callable[..., T]:
        memo: Memo[T] = Memo(most)

        @wraps(function)
        def remembering(*given: Any) -> T:
            arrays = [np.atleast_1d(one) for one in given]
            found = memo.find(arrays)
            if found is None:
                found = function(*given)
                memo.keep(arrays, found, size=0)
            return found

        return remembering

    return decorated


def _begins(arrays: Arrays) -> tuple[Any, ...]:
    """Shapes, types and first rows: others are told apart by these most of the time."""
    return tuple((a.shape, a.dtype, a[:1].tobytes()) for a in arrays)


def _same_bytes(a: NDArray[Any], b: NDArray[Any]) -> bool:
    # As integers: -0.0 is another array than 0.0, and a NaN is itself.
    whole = np.dtype(f"i{a.dtype.itemsize}")
    return a is b or np.array_equal(a.view(whole), b.view(whole))
