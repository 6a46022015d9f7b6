"""The codes of our msgpack extensions, and the names by which dtypes travel."""

from __future__ import annotations

from typing import Any

import numpy as np

# Extension codes. Those from TUPLE on carry no data: they are the first item of a list.
SAME, ARRAY, ROWS, SCALARS, FLOATS, SCALAR, BIGINT, COMPLEX, BYTEARRAY, VIEW = range(10)
TUPLE, DEQUE, SET, FROZENSET, MAP, COLUMNS, REMOVED, SHARED = range(16, 24)

MAX_DEPTH = 32

DTYPES = (
    *("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"),
    *("<c8", "<c16", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
    *("float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2fnuz"),
)
NAMED = 255


def dtype_name(dtype: np.dtype[Any]) -> str | None:
    """The name by which a dtype travels, or None: objects, and records with fields, do not."""
    if dtype.type.__module__.partition(".")[0] == "ml_dtypes":
        return dtype.name
    return dtype.str if dtype.kind in "biufcmMSU" and dtype.itemsize else None
