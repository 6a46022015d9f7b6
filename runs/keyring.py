"""Fresh keys that several targets share, so that all of them meet the same messages.

A target's own cells have different keys: what one of its players held of a message says nothing of
another. Cell i of one target and cell i of the next have one key for each batch: a comparison then
is of the targets, and not of the luck of their secrets. Players of different targets never live at
the same time.
"""

from __future__ import annotations

from ..protocols.game import coins


class Keyring:
    """Keys of 32 bytes by (instance, place of the cell among its target's, batch).

    >>> ring = Keyring()
    >>> ring.key("i", 0, 0) == ring.key("i", 0, 0) != ring.key("i", 1, 0)
    True
    """

    def __init__(self) -> None:
        self._keys: dict[tuple[str, int, int], bytes] = {}

    def key(self, instance: str, place: int, batch: int) -> bytes:
        """The key, drawn from the operating system when it is first asked for."""
        return self._keys.setdefault((instance, place, batch), coins.fresh_key())
