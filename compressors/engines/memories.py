"""The memories of a cache, side by side: in real packages they disagree.

*claimed* is the class's own word; *logical* the sum of numel x itemsize over the tensors that can
be reached from the cache; *resident* the bytes of the storages behind them, each once (a slice of
a large tensor keeps all of it); *side* what the method parks outside the cache, on modules. The
fourth memory, *wire*, is the length of the message, which the game counts; *constant* is how much
of it does not depend on the stream (``constant``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Memories:
    """Bytes, after the whole stream was taken and before anything is asked.

    Attributes:
        logical: numel x itemsize over all reachable tensors.
        resident: bytes of the distinct storages behind them.
        side: bytes of state outside the cache object.
        claimed: what the class itself says, in bytes; None where it says nothing.
        basis: how ``claimed`` was obtained, in a few words.
        constant: bytes of the message that another stream has as well; None where not measured.
        beside: bytes that the longest message may have beside resident and side: in no array, or
            only while the stream comes.
        beside_is: what these are, in a few words.
        played: how the cache is called, in words, where that was found by playing.
    """

    logical: int
    resident: int
    side: int = 0
    claimed: int | None = None
    basis: str = ""
    constant: int | None = None
    beside: int = 0
    beside_is: str = ""
    played: str = ""

    def as_dict(self) -> dict[str, int | str | None]:
        """Plain data."""
        return asdict(self)


def sizes(leaves: Iterable[Any]) -> tuple[int, int]:
    """The logical and the resident bytes of NumPy arrays and scalars, torch tensors and bytes.

    Logical: numel x itemsize, and the lengths of bytes. Resident: the distinct storages behind
    them, a view's whole base included.

    >>> whole = np.zeros(100, np.uint8)
    >>> sizes([whole[:30], whole[50:60], b"abc"])
    (43, 103)
    """
    logical, storages = 0, {}
    for leaf in leaves:
        if isinstance(leaf, bytes | bytearray):
            size = storages[id(leaf)] = len(leaf)
        elif isinstance(leaf, np.generic):
            size = storages[id(leaf)] = leaf.nbytes
        elif isinstance(leaf, np.ndarray):
            size, base = leaf.nbytes, leaf
            while isinstance(base.base, np.ndarray):
                base = base.base
            storages[base.__array_interface__["data"][0]] = base.nbytes
        else:
            size, storage = leaf.numel() * leaf.element_size(), leaf.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        logical += size
    return logical, sum(storages.values())
