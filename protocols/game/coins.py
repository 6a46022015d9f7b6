"""Randomness of the game: every coin comes from one master key through SHAKE-256 under its label.

Secrets and public coins have different labels, so what a compressor gets as ``seed`` says nothing
about x. The key itself enters no player's process. Fields are hashed with their lengths before
them, so that no two different (label, key, instance, message) ever hash the same string.
"""

from __future__ import annotations

import hashlib
import secrets
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput

KEY_BYTES = 32
AGE_BUCKETS = 16
CUT_EVERY = 4

LONGEST_SCHEDULE = 1 << 15
"""Characters of a schedule that a row can hold, some 1,500 operations."""


def _committed(name: str) -> bytes:
    return hashlib.sha256(b"kvbarrier committed key: " + name.encode()).digest()


COMMITTED_KEYS: dict[str, bytes] = {
    name: _committed(name) for name in ("experiments", "regress", "regress-2")
}
"""Keys of our own experiments and baselines: SHA-256 of their names, nothing up our sleeve.

With these, interrupted and resumed equals uninterrupted bit for bit. A foreign plug-in could have
read them, so it is never attacked with one: every one of its batches has a ``fresh_key``.
"""


def fresh_key() -> bytes:
    """Return a new master key, 32 bytes from the operating system."""
    return secrets.token_bytes(KEY_BYTES)


def check_key(key: bytes) -> None:
    """Raise BadInput unless this can be a master key."""
    if len(key) != KEY_BYTES:
        raise BadInput(
            f"A master key has {KEY_BYTES} bytes, not {len(key)}: take coins.fresh_key()."
        )


Place = tuple[str, Fraction | None, int, int]
"""Instance, budget, which of the target's cells there, batch."""


class Keyring:
    """Fresh keys that several targets share, by place: all of them meet the same messages.

    A target's own cells have different keys: what one of its players held of a message says nothing
    of another. Cell i of one target at a budget and cell i of the next at that budget have one key
    for each batch: a comparison then is of the targets, and not of the luck of their secrets.
    Players of different targets never live at the same time.

    >>> ring = Keyring()
    >>> ring.key(("i", None, 0, 0)) == ring.key(("i", None, 0, 0)) != ring.key(("i", None, 1, 0))
    True
    """

    def __init__(self) -> None:
        self._keys: dict[Place, bytes] = {}

    def key(self, place: Place) -> bytes:
        """The key, drawn from the operating system when it is first asked for."""
        return self._keys.setdefault(place, fresh_key())

    def learn(self, place: Place, key: bytes) -> bool:
        """Take over the key of a batch that was played earlier; False if there is another one.

        >>> ring = Keyring()
        >>> ring.learn(("i", None, 0, 0), b"a"), ring.learn(("i", None, 0, 0), b"b")
        (True, False)
        """
        return self._keys.setdefault(place, key) == key


def _coins(label: str, key: bytes, instance_id: str, message: int, count: int) -> bytes:
    """Return ``count`` bytes of SHAKE-256 over the length-prefixed fields."""
    check_key(key)
    if message < 0:
        raise BadInput(f"Messages are numbered from 0, not {message}.")
    xof = hashlib.shake_256()
    for field in (b"kvbarrier 1", label.encode(), key, instance_id.encode(), b"%d" % message):
        xof.update(len(field).to_bytes(8, "big") + field)
    return xof.digest(count)


def _bits(label: str, key: bytes, instance_id: str, message: int, count: int) -> NDArray[np.uint8]:
    raw = _coins(label, key, instance_id, message, (count + 7) // 8)
    return np.unpackbits(np.frombuffer(raw, dtype=np.uint8), count=count)


def secret_bits(key: bytes, instance_id: str, message: int, count: int) -> NDArray[np.uint8]:
    """Return the secret x of a message as uint8[count] of 0 and 1 (label "secret")."""
    return _bits("secret", key, instance_id, message, count)


def guess_bits(key: bytes, instance_id: str, message: int, count: int) -> NDArray[np.uint8]:
    """Return the harness's own guesses, uint8[count], for a message that failed (label "guess")."""
    return _bits("guess", key, instance_id, message, count)


def public_seed(key: bytes, instance_id: str, message: int) -> int:
    """Return the public coins of a message, an int in [0, 2**63) (label "public coins")."""
    return int.from_bytes(_coins("public coins", key, instance_id, message, 8), "big") >> 1


_WORDS = 1 << 64


class Draws:
    """Unbiased integers from one label's coins, by rejection of the incomplete last interval."""

    def __init__(self, label: str, key: bytes, instance_id: str, message: int) -> None:
        self._fields = (label, key, instance_id, message)
        self._words: list[int] = []
        self._used = 0

    def below(self, bound: int) -> int:
        """Return an integer uniform on [0, bound), bound <= 2**63."""
        while True:
            if self._used == len(self._words):
                # SHAKE output of any length is a prefix of every longer one: asking again extends.
                pool = _coins(*self._fields, 16 * len(self._words) + 512)
                self._words = np.frombuffer(pool, dtype=">u8").tolist()
            word = self._words[self._used]
            self._used += 1
            # What is incomplete is shorter than ``bound``: nearly no word needs the division.
            if word < _WORDS - bound or word < _WORDS // bound * bound:
                return word % bound


def bucket_of(rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the age bucket, int64 in [0, 16), of each row: 16 i // n; bucket 0 is the oldest."""
    return np.asarray(AGE_BUCKETS * np.asarray(rows, dtype=np.int64) // n)


def sampled_rows(
    key: bytes, instance_id: str, message: int, n: int, rows: int | None
) -> NDArray[np.int64]:
    """Return the rows Bob is asked for, sorted int64 (label "rows").

    ``None`` asks all n. Otherwise ``rows`` rows without replacement, stratified: they are dealt to
    the 16 age buckets as evenly as the buckets' sizes allow, which buckets get one more being
    random, and inside a bucket every subset is equally likely.

    Raises:
        BadInput: ``rows`` is not in 1..n.

    >>> sampled_rows(bytes(32), "x", 0, 64, 16).tolist()  # one in each block of four
    [0, 7, 8, 15, 16, 20, 24, 31, 34, 39, 40, 44, 50, 54, 58, 61]
    """
    if rows is None:
        return np.arange(n, dtype=np.int64)
    if not 1 <= rows <= n:
        raise BadInput(f"{rows} rows of {n} cannot be asked: give a number from 1 to {n}.")
    from .deal import deal

    # Row i is in bucket 16 i // n >= b if and only if i >= b n / 16.
    starts = -(-np.arange(AGE_BUCKETS + 1) * n // AGE_BUCKETS)
    # SHAKE output of any length is a prefix of every longer one: asking again extends.
    count = 2 * rows
    while True:
        words = np.frombuffer(_coins("rows", key, instance_id, message, 8 * count), dtype=">u8")
        asked = deal(words.astype(np.uint64), starts, rows)
        if len(asked):
            return np.sort(asked)
        count += 64


def schedule_draws(key: bytes, instance_id: str, message: int) -> Draws:
    """The public coins of a message's schedule of operations (label "schedule")."""
    return Draws("schedule", key, instance_id, message)


def cut_point(key: bytes, instance_id: str, message: int, n: int) -> int | None:
    """Return where a streaming run is cut, saved and restored elsewhere, or None (label "cut").

    Messages 0, 4, 8, ... are cut, after a uniformly random 1..n-1 of their n tokens. The point is
    public: it tells nothing about x.
    """
    if message % CUT_EVERY or n < 2:
        return None
    return 1 + Draws("cut", key, instance_id, message).below(n - 1)
