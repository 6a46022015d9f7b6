"""The harness's side of a player: somebody at the table who can be asked, and who leaves.

``InlineSeat`` plays in our own process, ``HostSeat`` in processes of its own. Both raise
``PlayerFault`` for whatever the compressor does, and may be asked on after that.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ... import errors
from ...compressors.plugin.answers import WrongAnswer
from ...compressors.plugin.contract import Float32
from . import players
from .channel import BadFrame, Channel, ChannelClosed, ChannelTimeout
from .isolation import Limits, environment, landlock_available
from .player import OURS
from .players import Facts, PlayerFault, Table, Triples

T = TypeVar("T")

_IMPORT_SECONDS = 300.0
_GRACE_SECONDS = 10.0
_LEAVE_SECONDS = 8.0


class Seat(Protocol):
    """A player at the table."""

    def sit(self, table: Table) -> Facts:
        """Build the compressor once, before any secret is drawn.

        Another table may follow: the process stays, and with it what it has imported.

        Raises:
            KVBarrierError: ours as raised there (BudgetTooSmall, BadInput), else PluginFailure.
        """

    def begin(self, seed: int) -> int | None:
        """Build a fresh instance for one message; return the message length that it declares."""

    def write(self, triples: Triples, earlier: bytes | None) -> tuple[bytes, int]:
        """Alice's part, after ``begin``: return her message and its payload bytes."""

    def answer(
        self, message: bytes, queries: Triples, thresholds: Float32 | None, block: int
    ) -> NDArray[Any]:
        """Bob's part, after ``begin``: bool[m, d_v] with thresholds, else float32[m, d_v]."""

    def memories(self) -> Mapping[str, Any] | None:
        """What the cache of the last ``write`` occupied, where the compressor says it."""

    def leave(self) -> str | None:
        """End the player and all it started; return what is wrong if that could not be done."""


class InlineSeat:
    """In our own process: for built-ins, whose code we trust to keep nothing."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._build: players.Build | None = None
        self._compressor: Any = None
        self._builtin = False
        self._folder: str | None = None

    def sit(self, table: Table) -> Facts:
        """See :meth:`Seat.sit`."""
        try:
            target, self._build = players.builder(table)
            self._builtin = target.builtin
            self._folder = None if target.folder is None else str(target.folder) + os.sep
            facts = players.facts(target, self._build(0))
            if not (facts.builtin or facts.streaming):
                # An answer that is none fails in the rounds, where it counts.
                with suppress(WrongAnswer):
                    players.rehearse(self._build, table)
            return facts
        except (errors.KVBarrierError, KeyboardInterrupt):
            raise
        except BaseException as exc:
            fault = players.fault_of(exc, "The compressor", self._folder, builtin=self._builtin)
            if isinstance(fault, errors.HarnessFault):
                raise fault from exc
            raise errors.PluginFailure(str(fault)) from exc

    def begin(self, seed: int) -> int | None:
        """See :meth:`Seat.begin`."""
        build = self._build
        assert build is not None
        self._compressor = self._try(lambda: build(seed))
        return self._try(lambda: players.declared_length(self._compressor))

    def write(self, triples: Triples, earlier: bytes | None) -> tuple[bytes, int]:
        """See :meth:`Seat.write`."""
        return self._try(lambda: players.write(self._compressor, triples, earlier))

    def answer(
        self, message: bytes, queries: Triples, thresholds: Float32 | None, block: int
    ) -> NDArray[Any]:
        """See :meth:`Seat.answer`."""
        return self._try(
            lambda: players.answer(self._compressor, message, queries, thresholds, block)
        )

    def memories(self) -> Mapping[str, Any] | None:
        """See :meth:`Seat.memories`."""
        return players.memories(self._compressor)

    def leave(self) -> str | None:
        """See :meth:`Seat.leave`."""
        self._compressor = None
        return None

    def _try(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            raise players.fault_of(exc, self._role, self._folder, builtin=self._builtin) from exc


@dataclass(frozen=True)
class Place:
    """A player's command line, environment and private folder, all fixed before x is drawn."""

    role: str
    private: str
    command: tuple[str, ...]
    environment: dict[str, str]

    @classmethod
    def prepare(
        cls,
        role: str,
        isolation: str,
        limits: Limits,
        host: str = "host",
        python: str | None = None,
    ) -> Place:
        """Choose a private folder, which is made when the player starts; write the command line.

        ``host`` is the module that plays there (see :mod:`.player`), ``python`` the interpreter
        that has what the target needs; None is the one that runs.
        """
        private = os.path.join(tempfile.gettempdir(), f"kvbarrier-{secrets.token_hex(8)}")
        hardened = "landlock" if landlock_available() else "bare"
        how = hardened if isolation == "process" else isolation
        words = (role, how, private, str(limits.memory_bytes), host)
        command = (python or sys.executable, "-P", "-m", __package__ + ".player", *words)
        return cls(role, private, command, environment(private))


@dataclass
class HostSeat:
    """In processes of its own: a supervisor, a host that imports, a child for every message."""

    place: Place
    limits: Limits
    table: Table | None = None
    _process: subprocess.Popen[bytes] | None = None
    _channel: Channel | None = None
    _words: Any = None
    _facts: Facts | None = None
    _memories: Mapping[str, Any] | None = None
    _trouble: list[str] = field(default_factory=list)

    def sit(self, table: Table) -> Facts:
        """See :meth:`Seat.sit`."""
        self.table = table
        if self._channel is None:
            said = self._start()
        else:
            order = {"op": "table", "table": self._said()}
            said = self._first(order)
        if "error" in said:
            raise _revive(said)
        self._facts = Facts(**said["facts"])
        return self._facts

    def begin(self, seed: int) -> int | None:
        """See :meth:`Seat.begin`."""
        if self._channel is None:
            self._sit_again()
        declared: int | None = self._ask({"op": "begin", "seed": seed})["declared"]
        return declared

    def write(self, triples: Triples, earlier: bytes | None) -> tuple[bytes, int]:
        """See :meth:`Seat.write`."""
        said = self._ask({"op": "write", "triples": triples, "earlier": earlier})
        self._memories = said["memories"]
        return said["message"], said["payload"]

    def answer(
        self, message: bytes, queries: Triples, thresholds: Float32 | None, block: int
    ) -> NDArray[Any]:
        """See :meth:`Seat.answer`."""
        order = {"message": message, "queries": queries, "thresholds": thresholds, "block": block}
        answer = self._ask({"op": "answer", **order})["answer"]
        # Checked there already, but this came out of a process that is not ours.
        if thresholds is None:
            return players.check_outputs(answer, *queries[2].shape)
        return np.asarray(answer, dtype=bool)

    def memories(self) -> Mapping[str, Any] | None:
        """See :meth:`Seat.memories`."""
        return self._memories

    def leave(self) -> str | None:
        """See :meth:`Seat.leave`."""
        self._stop()
        if self._words is not None:
            self._words.close()
            self._words = None
        shutil.rmtree(self.place.private, ignore_errors=True)
        return self._trouble[0] if self._trouble else None

    # -- the processes --------------------------------------------------------------------------

    def _start(self) -> dict[str, Any]:
        """Start the supervisor and open the game; return the host's first frame."""
        shutil.rmtree(self.place.private, ignore_errors=True)
        os.mkdir(self.place.private, 0o700)
        down, ours_down = os.pipe()
        ours_up, up = os.pipe()
        if self._words is not None:
            self._words.close()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (closed in leave)
        try:
            self._process = subprocess.Popen(
                self.place.command,
                env=self.place.environment,
                stdin=down,
                stdout=up,
                stderr=self._words,
                cwd=self.place.private,
                start_new_session=True,
            )
        finally:
            os.close(down)
            os.close(up)
            self._channel = Channel(ours_up, ours_down)
        return self._first({"table": self._said(), **asdict(self.limits)})

    def _said(self) -> dict[str, Any]:
        assert self.table is not None
        return {**asdict(self.table), "public": dict(self.table.public)}

    def _first(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Hand over a table; importing what it names takes a while."""
        try:
            return self._exchange(frame, _IMPORT_SECONDS + self.limits.seconds)
        except PlayerFault as fault:
            text = f"The compressor cannot be imported: {fault} {self._last_words()}".strip()
            return {"error": "PluginFailure", "text": text}

    def _sit_again(self) -> None:
        """After the host was lost: start another one, which must be the same compressor."""
        said = self._start()
        if said.get("error") == "HarnessFault":
            raise _revive(said)
        if "error" in said or Facts(**said["facts"]) != self._facts:
            self._stop()
            raise PlayerFault(f"{self.place.role} could not be started again.")

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        said = self._exchange(order, self.limits.seconds + _GRACE_SECONDS)
        if "error" in said:
            raise _revive(said)
        if "failed" in said:
            raise PlayerFault(str(said["failed"]))
        return said

    def _exchange(self, frame: dict[str, Any], seconds: float) -> dict[str, Any]:
        if self._channel is None:
            raise PlayerFault(f"{self.place.role} was not there any more.")
        deadline = time.monotonic() + seconds
        try:
            self._channel.send(frame, deadline)
            said = self._channel.receive(deadline)
        except ChannelClosed:
            self._stop()
            words = self._last_words()
            if words.startswith(OURS):
                raise errors.HarnessFault(words.removeprefix(OURS)) from None
            raise PlayerFault(f"{self.place.role} ended its own host process.") from None
        except (ChannelTimeout, BadFrame) as exc:
            self._stop()
            raise PlayerFault(f"{self.place.role}'s host process broke off: {exc}.") from None
        if not isinstance(said, dict):
            self._stop()
            raise PlayerFault(f"{self.place.role}'s host process spoke out of turn.")
        return said

    def _stop(self) -> None:
        """Close the channel: the supervisor then kills whatever lives, and says if it could."""
        process, self._process = self._process, None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LEAVE_SECONDS)
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.returncode != 0:
            self._trouble.append(
                f"{self.place.role}'s processes could not all be ended, so nothing that they said "
                f"counts."
            )

    def _last_words(self) -> str:
        self._words.seek(0)
        lines = self._words.read(1 << 16).decode(errors="replace").strip().splitlines()
        return players.one_line(lines[-1]) if lines else ""


def _revive(said: dict[str, Any]) -> errors.KVBarrierError:
    """Return the error that was raised in the player, with its own words."""
    text = str(said["text"])
    if said["error"] == "BudgetTooSmall":
        name, budget_bits, minimum_bits = said["budget"]
        return errors.BudgetTooSmall(str(name), int(budget_bits), int(minimum_bits))
    if said["error"] == "BadInput":
        return errors.BadInput(text)
    if said["error"] == "HarnessFault":
        return errors.HarnessFault(text)
    return errors.PluginFailure(text, said.get("detail"))
