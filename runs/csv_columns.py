"""Lines of CSV split into columns together, where they are plain: half of the csv module's time.

A quote alone begins or ends a field, beside a comma or an end of the line; two together stand for
one, inside such a field. Lines are plain if there are no three quotes together, nothing but ASCII,
no carriage return, and all lines quote the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


def columns_of(data: bytes) -> list[Sequence[str]] | None:
    r"""The columns of plain lines of CSV, with quotes inside fields still doubled, or None.

    >>> columns_of(b'1,"a,b",2\n3,"c",4\n'), columns_of(b'1,2\n"3",4\n')
    ([('1', '3'), ['a,b', 'c'], ('2', '4')], None)
    """
    code = np.frombuffer(data, dtype=np.uint8)
    quotes, ends = np.flatnonzero(code == ord('"')), np.flatnonzero(code == ord("\n"))
    left, right = np.diff(quotes, prepend=-2) == 1, np.diff(quotes, append=-2) == 1
    alone = quotes[~(left | right)]
    begins, closes = alone[::2], alone[1::2]
    each = len(begins) // len(ends)
    # Before the first character stands the last one, as good a line end.
    beside = code[np.concatenate([begins - 1, closes + 1])]
    if not (
        data.isascii()
        and b"\r" not in data
        and each
        and np.array_equal(np.searchsorted(alone, ends), 2 * each * np.arange(1, len(ends) + 1))
        and not np.any(left & right)
        and np.all((beside == ord(",")) | (beside == ord("\n")))
    ):
        return None
    text = data.decode()
    columns: list[Sequence[str]] = []
    start = np.append(0, ends[:-1] + 1)
    for k in range(each + 1):
        end = ends if k == each else begins[k::each] - 1
        # No field lies between two quoted ones that touch.
        if np.any(start <= end):
            fields = _fields(_slices(text, start, end)) if np.all(start <= end) else None
            if fields is None:
                return None
            columns += fields
        if k < each:
            columns.append(_slices(text, begins[k::each] + 1, closes[k::each]))
            start = closes[k::each] + 2
    return columns


def _fields(parts: list[str]) -> list[Sequence[str]] | None:
    """Fields without quotes, by column; None if the parts of lines do not hold equally many."""
    if parts.count(parts[0]) == len(parts):
        columns: list[Sequence[str]] = [[field] * len(parts) for field in parts[0].split(",")]
    else:
        lines = [part.split(",") for part in parts]
        if len(set(map(len, lines))) != 1:
            return None
        columns = list(zip(*lines, strict=True))
    return None if any('"' in part for part in parts) else columns


def _slices(text: str, start: Positions, end: Positions) -> list[str]:
    return [text[a:b] for a, b in zip(start.tolist(), end.tolist(), strict=True)]
