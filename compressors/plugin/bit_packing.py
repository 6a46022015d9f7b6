"""Codes of a few bits each, one behind another: what a message of small integers should cost.

An array of 3-bit codes in int8 is sent with 8 bits each; packed, with 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack_bits(codes: Any, bits: int) -> NDArray[np.uint8]:
    """Pack integers of ``bits`` bits each, 1 to 32, most significant bit first.

    Args:
        codes: integers in [0, 2^bits), of any shape; of a signed code add its offset first.

    Returns:
        uint8[ceil(number of codes * bits / 8)].

    Raises:
        ValueError: a code does not fit, is no integer, or ``bits`` is outside 1 to 32.

    >>> packed = pack_bits(np.array([[1, 7], [4, 2]]), 3)
    >>> packed.tolist(), unpack_bits(packed, 3, (2, 2)).tolist()
    ([62, 32], [[1, 7], [4, 2]])
    """
    flat = np.asarray(codes).reshape(-1)
    if not 1 <= bits <= 32:
        raise ValueError(f"bits must be 1 to 32, got {bits}")
    if flat.size and flat.dtype.kind not in "iub":
        raise ValueError(f"codes must be integers, got {flat.dtype}: round them first")
    if flat.size and not 0 <= int(flat.min()) <= int(flat.max()) < 1 << bits:
        raise ValueError(
            f"codes of {bits} bits must be 0 to {(1 << bits) - 1}, got {flat.min()} to {flat.max()}"
        )
    places = np.arange(bits - 1, -1, -1, dtype=np.uint64)
    rows = (flat.astype(np.uint64)[:, None] >> places) & np.uint64(1)
    return np.packbits(rows.astype(np.uint8).reshape(-1))


def unpack_bits(packed: Any, bits: int, shape: int | Sequence[int]) -> NDArray[np.uint32]:
    """The codes that :func:`pack_bits` packed: uint32 of this shape.

    Raises:
        ValueError: there are fewer bits than the shape needs, or ``bits`` is outside 1 to 32.
    """
    if not 1 <= bits <= 32:
        raise ValueError(f"bits must be 1 to 32, got {bits}")
    count = shape if isinstance(shape, int) else prod(shape)
    flat = np.unpackbits(np.asarray(packed, dtype=np.uint8))
    if len(flat) < count * bits:
        raise ValueError(f"{count} codes of {bits} bits need {count * bits} bits, got {len(flat)}")
    rows = flat[: count * bits].reshape(count, bits).astype(np.uint64)
    weights = np.uint64(1) << np.arange(bits - 1, -1, -1, dtype=np.uint64)
    return (rows @ weights).astype(np.uint32).reshape(shape)
