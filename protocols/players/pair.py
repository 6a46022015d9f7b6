"""Alice and Bob as a pair: prepared together, alive one after the other.

What they run as is fixed for both before x is drawn.

No Bob answers while an Alice lives, be it of a batch that is played side by side. A batch's own Bob
begins when its Alice is gone. But another batch's Alice may live then, and what the first told her
(by a lock on a file that all can open, say) she could tell him; and of a stream that is cut, she
could tell the second half what the first one told her. So the players of all threads go in phases:
any number of Alices, of Alices that begin again, of Bobs. Who comes while another side waits, waits
for the next phase, so that no side starves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Literal, get_args

from ...compressors.engines.schemes import interpreter_of
from ...errors import HarnessFault, KVBarrierError
from .isolation import Limits, NoNamespaces
from .kernels import warm_kernels
from .play import Facts, Table
from .seat import Opened, Seat
from .seats import HostSeat, Place
from .template import held

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


_GATE = Gate()


@contextmanager
def prepared(table: Table, isolation: str, limits: Limits) -> Iterator[tuple[Seat, Seat]]:
    """Prepare both players, neither of them started, and have both gone in the end."""
    python = interpreter_of(table.target)
    if isolation != "inline":
        warm_kernels()
    pair: list[Seat] = []
    with held():
        try:
            for role in ("Alice", "Bob"):
                if isolation == "inline":
                    from .inline_seat import InlineSeat

                    pair.append(InlineSeat())
                else:
                    place = Place.prepare(role, isolation, limits, python=python)
                    pair.append(HostSeat(place, limits))
            yield pair[0], pair[1]
        finally:
            for seat in pair:
                seat.leave()


@contextmanager
def at_the_table(side: Side, seat: Seat, isolation: str) -> Iterator[None]:
    """A player's time there; none of another side lives meanwhile, where any live at all.

    After her first time Alice may come back: as one who has seen nothing of it.
    """
    with nullcontext() if isolation == "inline" else _GATE.phase(side):
        try:
            yield
        finally:
            if side == "Alice":
                seat.renew()
            else:
                seat.leave()


def seated_after(
    seat: Seat, tables: Sequence[Table], facts: Sequence[Facts], who: str, first: str
) -> list[str]:
    """Have a player begin after another one; for each table "" or why nothing said there counts.

    By now secrets are drawn: a stranger who says that the harness failed would end the run.
    """
    troubles = []
    try:
        found: list[Opened] = seat.open(tables, facts)
    except NoNamespaces as error:
        found = [error] * len(tables)
    for opened, before in zip(found, facts, strict=True):
        if isinstance(opened, HarnessFault) and before.builtin:
            raise opened
        if isinstance(opened, KVBarrierError):
            troubles.append(f"{who[0].upper()}{who[1:]} could not begin: {opened}")
        elif opened != before:
            said = f"The compressor's code changed between {first} and {who}."
            troubles.append(said)
        else:
            troubles.append("")
    return troubles
