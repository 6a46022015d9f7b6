"""What of a message does not depend on the stream: a fixed rotation that travels, say.

Two streams of the same length are played: the one that was asked for, and a public one with other
keys and values. *constant* is the number of bytes that lie in runs of at least ``RUN`` bytes, equal
and at the same offsets in both messages. Bytes of data that agree by chance do not make such runs.

It says what a package could leave out of the message, as both players can make it themselves, and
did not. It does not show that these bytes are the same for *every* stream, and what moves (behind a
part whose length depends on the data) is not found: it is a lower bound on what two messages share.
The charge is not changed by it: what is sent is paid for.
"""

from __future__ import annotations

import numpy as np

#: equal bytes in a row that are no coincidence
RUN = 64
COINS = 30_251
"""Of the public stream that is compared with: another one than what templates are made of."""


def constant_bytes(a: bytes, b: bytes) -> int:
    """Bytes in runs of at least ``RUN`` that are equal at the same offsets.

    >>> constant_bytes(b"x" * 100 + bytes(40), b"x" * 100 + bytes([1]) * 40)
    100
    >>> constant_bytes(b"x" * 63 + b"a", b"x" * 63 + b"b")
    0
    """
    size = min(len(a), len(b))
    equal = np.zeros(size + 2, np.int8)
    equal[1:-1] = np.frombuffer(a, np.uint8, size) == np.frombuffer(b, np.uint8, size)
    changes = np.diff(equal)
    lengths = np.flatnonzero(changes == -1) - np.flatnonzero(changes == 1)
    return int(lengths[lengths >= RUN].sum())
