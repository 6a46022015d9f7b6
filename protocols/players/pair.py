"""Alice and Bob as a pair: prepared together, alive one after the other.

What they run as is fixed for both before x is drawn. While one of them lives, no player of the
other side does, of this pair or of another that is played in another thread (:mod:`.gate`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from ...compressors.engines.schemes import interpreter_of
from ...errors import HarnessFault, KVBarrierError
from .gate import Gate, Side
from .isolation import Limits, NoNamespaces
from .kernels import warm_kernels
from .play import Facts, Table
from .seat import Opened, Seat
from .seats import HostSeat, Place
from .template import held

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
