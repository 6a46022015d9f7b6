"""No Bob answers while an Alice lives: the phases of batches that are played side by side.

A batch's own Bob begins when its Alice is gone. But another batch's Alice may live then, and what
the first told her (by a lock on a file that all can open, say) she could tell him; and of a stream
that is cut, she could tell the second half what the first one told her. So the players of all
threads go in phases: any number of Alices, of Alices that begin again, of Bobs. Who comes while
another side waits, waits for the next phase, so that no side starves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

Side = Literal["Alice", "Alice again", "Bob"]

_SIDES: tuple[Side, ...] = get_args(Side)


class Gate:
    """One side at a time, and of that side any number of threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._side: Side = "Alice"
        self._inside = 0
        self._waiting: dict[Side, int] = dict.fromkeys(_SIDES, 0)
        self._phases: dict[Side, int] = dict.fromkeys(_SIDES, 0)

    @contextmanager
    def phase(self, side: Side) -> Iterator[None]:
        """Be one of that side; waits until nobody of another is there."""
        with self._changed:
            self._enter(side)
        try:
            yield
        finally:
            with self._changed:
                self._leave()

    def _enter(self, side: Side) -> None:
        if not self._inside or (self._side == side and not any(self._waiting.values())):
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
        """The last one lets in all who wait on the next side where somebody does."""
        self._inside -= 1
        after = _SIDES.index(self._side) + 1
        turns = (*_SIDES[after:], *_SIDES[:after])
        side = next((turn for turn in turns if self._waiting[turn]), None)
        if not self._inside and side is not None:
            self._side, self._inside, self._waiting[side] = side, self._waiting[side], 0
            self._phases[side] += 1
            self._changed.notify_all()
