"""float32 to float16 and back by integers, a vector at a time; NumPy goes number by number.

A normal float16 number has the bits of the same float32 number without the last 13 of its fraction
and with another bias of the exponent, 15 instead of 127. Rounding to nearest, ties to even, is
adding half of the last place less one, and one more where the last place is odd: a carry goes into
the exponent as it should. Where another number comes than 0 and normal ones, NumPy does it all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...reductions.jit import njit

_REBIAS = np.uint32((127 - 15) << 23)
_TIE = np.uint32((1 << 12) - 1)
_SIGN, _REST = np.uint32(1 << 31), np.uint32((1 << 31) - 1)
_LEAST, _BEYOND = np.uint32(113 << 23), np.uint32(143 << 23)  # 2^-14 and 2^16
_LEAST_HALF, _BEYOND_HALF = np.uint16(1 << 10), np.uint16(31 << 10)


@njit(cache=True, nogil=True, error_model="numpy")
def narrow_bits(wide: Any, narrow: Any) -> Any:
    """uint32[m] of float32 numbers -> uint16[m] of float16; False where one is not plain."""
    odd = np.uint32(0)
    for i in range(len(wide)):
        size = wide[i] & _REST
        rounded = (size - _REBIAS + _TIE + ((size >> np.uint32(13)) & np.uint32(1))) >> np.uint32(
            13
        )
        plain = (size >= _LEAST) & (size < _BEYOND)
        odd |= np.uint32(0) if plain | (size == 0) else np.uint32(1)
        sign = (wide[i] & _SIGN) >> np.uint32(16)
        narrow[i] = np.uint16(sign | (rounded if plain else np.uint32(0)))
    return odd == 0


@njit(cache=True, nogil=True, error_model="numpy")
def wide_bits(narrow: Any, wide: Any) -> Any:
    """uint16[m] of float16 numbers -> uint32[m] of float32; False where one is not plain."""
    odd = np.uint32(0)
    for i in range(len(narrow)):
        size = np.uint32(narrow[i] & np.uint16((1 << 15) - 1))
        plain = (size >= _LEAST_HALF) & (size < _BEYOND_HALF)
        odd |= np.uint32(0) if plain | (size == 0) else np.uint32(1)
        sign = np.uint32(narrow[i] >> np.uint16(15)) << np.uint32(31)
        wide[i] = sign | ((size << np.uint32(13)) + _REBIAS if plain else np.uint32(0))
    return odd == 0


def narrow(rows: NDArray[np.float32], halves: NDArray[np.float16]) -> None:
    """Write float32 rows as float16, both C-contiguous and of one shape; none is 65,520 or more.

    >>> halves = np.empty(3, dtype=np.float16)
    >>> narrow(np.array([1, -2049, 1e-7], dtype=np.float32), halves)
    >>> halves.tolist()
    [1.0, -2048.0, 1.1920928955078125e-07]
    """
    if not narrow_bits(rows.reshape(-1).view(np.uint32), halves.reshape(-1).view(np.uint16)):
        halves[...] = rows


def widen(halves: NDArray[np.float16]) -> NDArray[np.float32]:
    """The same numbers as float32, C-contiguous.

    >>> widen(np.array([1, -0.5, np.nan], dtype=np.float16)).tolist()
    [1.0, -0.5, nan]
    """
    rows = np.empty(halves.shape, dtype=np.float32)
    flat = np.ascontiguousarray(halves).reshape(-1).view(np.uint16)
    if not wide_bits(flat, rows.reshape(-1).view(np.uint32)):
        rows[...] = halves
    return rows
