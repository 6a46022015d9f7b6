"""Rows that are equal, bit for bit: what is computed for one holds for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def distinct_rows(rows: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first row of each kind, and the kind of every row: intp[kinds], intp[m].

    Bob's tokens are all alike in most games. Hashing the bytes of 1024 rows takes a tenth of the
    time of sorting them.

    >>> first, kind = distinct_rows(np.array([[0.0], [1.0], [0.0]]))
    >>> first.tolist(), kind.tolist()
    ([0, 1], [0, 1, 0])
    """
    kinds: dict[bytes, int] = {}
    kind = np.array([kinds.setdefault(row.tobytes(), len(kinds)) for row in rows], dtype=np.intp)
    return np.unique(kind, return_index=True)[1], kind
