"""Rows of numbers kept in a storage format, which become float32 a few at a time.

As float32 the 16-bit cache of 2^20 tokens takes 512 MiB beside its own 256 at d = 64; attention
looks at some hundred rows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

#: rows that are read at once where all of them are looked at
BLOCK = 1 << 14


class Stored:
    """Rows [t, d] in a storage format, less one of them.

    Args:
        rows: [t, d] in the format.
        read: rows in the format -> float32, C-contiguous.
        without: the number of a row that is not there, or -1.

    >>> K = Stored(np.arange(8, dtype=np.float16).reshape(4, 2), lambda r: r.astype(np.float32), 1)
    >>> K.shape, K[1:3].tolist(), K[np.array([2])].tolist()
    ((3, 2), [[4.0, 5.0], [6.0, 7.0]], [[6.0, 7.0]])
    """

    def __init__(
        self, rows: NDArray[Any], read: Callable[[NDArray[Any]], Float32], without: int = -1
    ) -> None:
        self._rows, self._read, self._without = rows, read, without
        self.shape = (len(rows) - (without >= 0), rows.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: slice | NDArray[np.int64]) -> Float32:
        gap = self._without
        if isinstance(at, slice):
            begin, end, _ = at.indices(len(self))
            if gap < 0 or end <= gap:
                return self._read(self._rows[begin:end])
            if begin >= gap:
                return self._read(self._rows[begin + 1 : end + 1])
            at = np.arange(begin, end)
        return self._read(self._rows[at if gap < 0 else at + (at >= gap)])


Rows = Float32 | Stored


def blocks(rows: Rows) -> Iterator[Float32]:
    """All rows: an array as it is, stored ones some at a time."""
    if isinstance(rows, Stored):
        for first in range(0, len(rows), BLOCK):
            yield rows[first : first + BLOCK]
    else:
        yield rows
