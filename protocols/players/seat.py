"""The harness's side of a player: somebody at the table who can be asked, and who leaves.

:class:`.seats.HostSeat` plays in processes of its own, :class:`.inline_seat.InlineSeat` in ours.
Both raise ``PlayerFault`` for whatever the compressor does, and may be asked on after that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from ... import errors
from ...compressors.plugin.contract import Float32
from .channel import Message
from .play import Facts, Table, Triples

Opened = Facts | errors.KVBarrierError
"""What came of a table: its facts, or why nobody can play there."""


class Seat(Protocol):
    """A player at the table."""

    def open(self, tables: Sequence[Table], known: Sequence[Facts] | None = None) -> list[Opened]:
        """Build the compressor of each table once, before any secret is drawn.

        Others may follow: the process stays, and with it what it has imported. Where nobody can
        play is an error: ours as raised there (BudgetTooSmall, BadInput), HarnessFault if it says
        that our own code failed, else PluginFailure.

        Raises NoNamespaces if there are none here.

        With ``known``, what an earlier life said of them, they are only imported: by then secrets
        are drawn, and nothing is built but for a message.
        """

    def begin(self, table: Table, seed: int, role: str, rehearsal: bool = False) -> int | None:
        """Build a fresh instance for one message; return the message length that it declares.

        At a table that was opened; ``role`` is for the sentences. A ``rehearsal`` counts for
        nothing: it needs no process of its own.
        """

    def feed(self, triples: Triples, earlier: Message | None) -> None:
        """A part of Alice's stream, after ``begin`` and what an ``earlier`` message holds.

        More follows, and then ``write``.
        """

    def write(
        self,
        triples: Triples,
        earlier: Message | None,
        schedule: Mapping[str, Any] | None = None,
        account: bool = False,
    ) -> tuple[Message, int]:
        """Alice's part, after ``begin``: return her message and its payload bytes.

        With ``account`` her cache's memories are taken, which costs another stream.
        """

    def answer(
        self, message: Message, queries: Triples, thresholds: Float32 | None, block: int
    ) -> NDArray[Any]:
        """Bob's part, after ``begin``: bool[m, d_v] with thresholds, else float32[m, d_v]."""

    def memories(self) -> Mapping[str, Any] | None:
        """What the cache of the last ``write`` with ``account`` occupied, where it is said."""

    def renew(self) -> None:
        """End the player and all it started, and only then return.

        Who sits down next saw nothing of what it saw.
        """

    def leave(self) -> str | None:
        """End the player and all it started; return what is wrong if that could not be done."""
