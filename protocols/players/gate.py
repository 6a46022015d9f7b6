"""No Bob answers while an Alice lives: the phases of batches that are played side by side.

A batch's own Bob begins when its Alice is gone. But another batch's Alice may live then, and what
the first told her (by a lock on a file that all can open, say) she could tell him. So the players
of all threads go in phases: any number of Alices, then any number of Bobs. Who comes while the
other side waits, waits for the next phase, so that neither side starves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Side = Literal["Alice", "Bob"]

_OTHER: dict[Side, Side] = {"Alice": "Bob", "Bob": "Alice"}


class Gate:
    """One side at a time, and of that side any number of threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._side: Side = "Alice"
        self._inside = 0
        self._waiting: dict[Side, int] = {"Alice": 0, "Bob": 0}
        self._phases: dict[Side, int] = {"Alice": 0, "Bob": 0}

    @contextmanager
    def phase(self, side: Side) -> Iterator[None]:
        """Be one of that side; waits until nobody of the other is there."""
        with self._changed:
            self._enter(side, _OTHER[side])
        try:
            yield
        finally:
            with self._changed:
                self._leave()

    def _enter(self, side: Side, other: Side) -> None:
        if not self._inside or (self._side == side and not self._waiting[other]):
            self._side = side
            self._inside += 1
            return
        phase = self._phases[side]
        self._waiting[side] += 1
        try:
            self._changed.wait_for(lambda: self._phases[side] > phase)
        except BaseException:
            if self._phases[side] > phase:
                self._leave()
            else:
                self._waiting[side] -= 1
            raise

    def _leave(self) -> None:
        """The last one lets in all who wait on the other side, or if nobody does on this one."""
        self._inside -= 1
        side = _OTHER[self._side] if self._waiting[_OTHER[self._side]] else self._side
        if not self._inside and self._waiting[side]:
            self._side, self._inside, self._waiting[side] = side, self._waiting[side], 0
            self._phases[side] += 1
            self._changed.notify_all()
