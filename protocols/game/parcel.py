"""A message between Alice and Bob: a long one waits in a file, so that a batch needs room for one.

Sixteen messages of 2^20 tokens are 4 GiB. The file has no name, so nobody can open it; what is
handed over is held against the digest that was taken when the message was charged.
"""

from __future__ import annotations

import hashlib
import tempfile
import weakref

from ...errors import HarnessFault

LONG = 1 << 24
"""Bytes from which on a message waits in a file."""


class Parcel:
    """The bytes of a message; one that is ``alone`` in its batch never waits in a file.

    >>> len(Parcel(b"abc")), Parcel(b"abc").open()
    (3, b'abc')
    """

    def __init__(self, message: bytes, alone: bool = False) -> None:
        self._length = len(message)
        self._digest: bytes | None = None
        self._bytes: bytes = message
        if self._length >= LONG and not alone:
            self._digest, self._bytes = hashlib.sha256(message).digest(), b""
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (it goes with the parcel)
            weakref.finalize(self, self._file.close)
            left = memoryview(message)
            while left:
                left = left[self._file.write(left) :]

    def __len__(self) -> int:
        return self._length

    def open(self) -> bytes:
        """The message.

        Raises:
            HarnessFault: the file has other bytes than were written.
        """
        if self._digest is None:
            return self._bytes
        self._file.seek(0)
        message = self._file.read()
        if hashlib.sha256(message).digest() != self._digest:
            raise HarnessFault(
                "A message that waited in a temporary file is not what was written there."
            )
        return message
