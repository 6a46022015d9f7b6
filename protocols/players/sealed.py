"""Sealed memory: how a large frame is handed over, as pages instead of a copy through a pipe.

Linux has files in memory whose writer can give up every right to write to them, for himself and for
all others and for ever (``memfd_create(2)``, ``F_ADD_SEALS`` in ``fcntl(2)``). Who gets one sees
its length and its seals before its first byte, and from then on neither can change: it has exactly
the bytes that are read, now and later, and there is nothing behind them.

A player's file is read and let go. What the other player gets is written anew by the harness: an
offset, a time, a mode or a name that a player left on its own file goes nowhere.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from typing import Any, Self

LARGE = 1 << 20
"""Bytes of a body from which on it is handed over like this."""

_NAME = "frame"


class Sealed(mmap.mmap):
    """A body in sealed memory, mapped for this process alone: what is written here stays here.

    Attributes:
        fd: the descriptor, to hand on as it is.
    """

    fd: int

    def __new__(cls, fd: int, length: int) -> Self:
        """Take over a descriptor. Raises ValueError if that is not what it is, and closes it."""
        try:
            if not is_sealed(fd) or os.fstat(fd).st_size != length:
                raise ValueError("what was handed over is not sealed memory of the length told")
            self = super().__new__(cls, fd, length, access=mmap.ACCESS_COPY)
        except BaseException:
            os.close(fd)
            raise
        self.fd = fd
        return self

    def __del__(self) -> None:
        os.close(self.fd)


def is_sealed(fd: int) -> bool:
    """Whether nobody can write to a descriptor's file any more, nor change its length."""
    import fcntl

    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _seals() == _seals()
    except (OSError, AttributeError):  # no file in memory; no Linux
        return False


def seal(parts: Sequence[bytes | bytearray | memoryview]) -> int | None:
    """Return a descriptor of sealed memory that has these bytes, None where none can be had."""
    import fcntl

    try:
        fd = os.memfd_create(_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (OSError, AttributeError):
        return None
    try:
        for part in parts:
            left = memoryview(part)
            while left:
                left = left[os.write(fd, left) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _seals())
    except OSError:
        os.close(fd)
        return None
    return fd


def _seals() -> int:
    import fcntl

    f: Any = fcntl
    seals: int = f.F_SEAL_SEAL | f.F_SEAL_SHRINK | f.F_SEAL_GROW | f.F_SEAL_WRITE
    return seals
