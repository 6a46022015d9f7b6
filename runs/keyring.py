"""Fresh keys that several targets share, so that all of them meet the same messages.

A target's own cells have different keys: what one of its players held of a message says nothing of
another. Cell i of one target at a budget and cell i of the next at that budget have one key for
each batch: a comparison then is of the targets, and not of the luck of their secrets. Players of
different targets never live at the same time.
"""

from __future__ import annotations

from fractions import Fraction

from ..protocols.game import coins

Place = tuple[str, Fraction | None, int, int]
"""Instance, budget, which of the target's cells there, batch."""


class Keyring:
    """Keys of 32 bytes by place.

    >>> ring = Keyring()
    >>> ring.key(("i", None, 0, 0)) == ring.key(("i", None, 0, 0)) != ring.key(("i", None, 1, 0))
    True
    """

    def __init__(self) -> None:
        self._keys: dict[Place, bytes] = {}

    def key(self, place: Place) -> bytes:
        """The key, drawn from the operating system when it is first asked for."""
        return self._keys.setdefault(place, coins.fresh_key())

    def learn(self, place: Place, key: bytes) -> bool:
        """Take over the key of a batch that was played earlier; False if there is another one.

        >>> ring = Keyring()
        >>> ring.learn(("i", None, 0, 0), b"a"), ring.learn(("i", None, 0, 0), b"b")
        (True, False)
        """
        return self._keys.setdefault(place, key) == key
