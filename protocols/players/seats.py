"""A player in processes of its own (:class:`HostSeat`), from the harness's side."""

from __future__ import annotations

import math
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ... import errors
from ...compressors.plugin.contract import Float32
from . import frames, play, residue, template
from .channel import (
    MAX_MESSAGE_BYTES,
    BadFrame,
    ChannelClosed,
    ChannelTimeout,
    Deadline,
    Message,
    as_array,
)
from .codes import CLEAN, FRAME, IMPORT_SECONDS, LITTER, NO_NAMESPACES, OURS
from .isolation import Limits, NoNamespaces, allowed_environment, landlock_available
from .play import Facts, PlayerFault, Table, Triples
from .seat import Opened, Seat

T = TypeVar("T")

_OPENING_SECONDS = 300.0
_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Place:
    """What a player begins with, all of it fixed before x is drawn: see :func:`.keeper.keep`.

    Attributes:
        role: "Alice" or "Bob".
        how: how it is kept.
        private: its private folder, which is made when it begins.
        size: bytes that all files there may have.
        environment: its environment; HOME and TMPDIR are in the private folder.
        python: the interpreter that has what the target needs.
        host: the module that plays.
    """

    role: str
    how: str
    private: str
    size: int
    environment: Mapping[str, str]
    python: str
    host: str

    @classmethod
    def prepare(
        cls,
        role: str,
        isolation: str,
        limits: Limits,
        host: str = "host",
        python: str | None = None,
    ) -> Place:
        """Choose a private folder and all the rest; ``python`` None is the one that runs."""
        private = os.path.join(tempfile.gettempdir(), f"kvbarrier-{secrets.token_hex(8)}")
        hardened = "landlock" if landlock_available() else "bare"
        how = hardened if isolation == "process" else isolation
        given = allowed_environment(os.environ)
        return cls(role, how, private, limits.memory_bytes, given, python or sys.executable, host)

    def begin(self) -> template.Life:
        """Begin a life there; who calls holds the template."""
        return template.begin(
            self.python,
            self.environment,
            host=self.host,
            role=self.role,
            how=self.how,
            private=self.private,
            size=self.size,
        )


def _sent(message: Message | None) -> NDArray[np.uint8] | None:
    return None if message is None else as_array(message)


@dataclass
class HostSeat(Seat):
    """In processes of its own: a keeper, a host that imports, a child for every message."""

    place: Place
    limits: Limits
    _tables: list[Table] = field(default_factory=list)
    _opened: list[Opened] = field(default_factory=list)
    _builtin: bool | None = None
    _role: str = ""
    _life: template.Life | None = None
    _words: str = ""
    _template: ExitStack = field(default_factory=ExitStack)
    _memories: Mapping[str, Any] | None = None
    _trouble: list[str] = field(default_factory=list)

    def open(self, tables: Sequence[Table], known: Sequence[Facts] | None = None) -> list[Opened]:
        first = len(self._tables)
        while left := tables[(done := len(self._tables) - first) :]:
            if self._life is None and not self._open_again():
                self._stop()
            found = self._open(left, known and known[done:])
            self._tables += left[: len(found)]
            self._opened += found
        self._builtin = all(isinstance(one, Facts) and one.builtin for one in self._opened)
        return self._opened[first:]

    def begin(self, table: Table, seed: int, role: str, rehearsal: bool = False) -> int | None:
        self._role = role
        if self._life is None:
            self._sit_again()
        # A host numbers the tables at which somebody can play.
        number = next(i for i, (known, _) in enumerate(self._living()) if known is table)
        self._builtin = self._living()[number][1].builtin
        order = {"op": "begin", "table": number, "seed": seed, "role": role}
        return self._ask({**order, "rehearsal": rehearsal}, frames.declared)

    def feed(self, triples: Triples, earlier: Message | None) -> None:
        """See :meth:`Seat.feed`."""
        self._ask({"op": "feed", "triples": triples, "earlier": _sent(earlier)}, frames.fed)

    def write(
        self,
        triples: Triples,
        earlier: Message | None,
        schedule: Mapping[str, Any] | None = None,
        account: bool = False,
    ) -> tuple[Message, int]:
        order = {"op": "write", "triples": triples, "earlier": _sent(earlier), "account": account}
        message, payload, held = self._ask(
            {**order, "schedule": schedule}, frames.message, MAX_MESSAGE_BYTES
        )
        self._memories = held if account else self._memories
        return message, payload

    def answer(
        self, message: Message, queries: Triples, thresholds: Float32 | None, block: int
    ) -> NDArray[Any]:
        order = {
            "message": _sent(message),
            "queries": queries,
            "thresholds": thresholds,
            "block": block,
        }
        shape, kind = queries[2].shape, np.float32 if thresholds is None else np.bool_
        answer = self._ask(
            {"op": "answer", **order},
            lambda said: frames.array(said, "answer", kind, *shape),
            4 * math.prod(shape),
        )
        return play.check_outputs(answer, *shape) if thresholds is None else answer

    def memories(self) -> Mapping[str, Any] | None:
        return self._memories

    def renew(self) -> None:
        self._tables, self._opened = [], []
        self._stop()

    def leave(self) -> str | None:
        self._stop()
        self._template.close()
        residue.remove(self.place.private)
        return self._trouble[0] if self._trouble else None

    # -- the processes --------------------------------------------------------------------------

    def _start(self) -> None:
        """Begin a life: a keeper, which starts a host."""
        residue.remove(self.place.private)
        os.mkdir(self.place.private, 0o700)
        if self._life is None:
            self._template.enter_context(template.held())
        self._life = self.place.begin()

    def _living(self) -> list[tuple[Table, Facts]]:
        """The tables at which somebody can play."""
        pairs = zip(self._tables, self._opened, strict=True)
        return [(table, facts) for table, facts in pairs if isinstance(facts, Facts)]

    def _open(self, tables: Sequence[Table], known: Sequence[Facts] | None) -> list[Opened]:
        """Hand over tables, and to a host that is new the limits; importing takes a while.

        If the host is lost over one of them, that is the last one answered.
        """
        said = [table.told() for table in tables]
        before = None if known is None else [asdict(facts) for facts in known]
        frame = {"op": "tables", "tables": said, "known": before, **asdict(self.limits)}
        found: list[Opened] = []
        for table in tables:
            try:
                deadline = Deadline(_OPENING_SECONDS + self.limits.seconds)
                heard = self._exchange(None if found else frame, deadline, frames.WORDS)
                found.append(self._read(partial(self._facts_in, table), heard))
            except PlayerFault as fault:
                found.append(errors.PluginFailure(self._last_words(table, str(fault))))
                break
            except NoNamespaces:
                raise
            except errors.KVBarrierError as error:
                found.append(error)
                if self._life is None:
                    break
        return found

    def _facts_in(self, table: Table, said: Any) -> Facts:
        return frames.facts_of(table, said)

    def _open_again(self) -> bool:
        """Start a host; return whether it says of the tables known what the last one said."""
        self._start()
        living = self._living()
        if not living:
            return True
        again = self._open([table for table, _ in living], [facts for _, facts in living])
        for now, (_, before) in zip(again, living, strict=False):
            if isinstance(now, errors.HarnessFault) and before.builtin:
                raise now
        return again == [before for _, before in living]

    def _sit_again(self) -> None:
        """After the host was lost: start another one, which must be the same compressor."""
        with suppress(PlayerFault):
            if self._open_again():
                return
        self._stop()
        raise PlayerFault(f"{self.role} could not be started again.")

    @property
    def role(self) -> str:
        """Whom it plays at the moment."""
        return self._role or self.place.role

    def _deadline(self) -> Deadline:
        return Deadline(self.limits.seconds + _GRACE_SECONDS)

    def _ask(
        self,
        order: dict[str, Any],
        read: Callable[[Any], T],
        size: int = 0,
        deadline: Deadline | None = None,
    ) -> T:
        """Give an order and read the answer, whose arrays and message have at most ``size`` bytes.

        Raises:
            PlayerFault: it failed, or the answer is none.
        """
        said = self._exchange(order, deadline or self._deadline(), frames.WORDS + size)
        builtin = bool(self._builtin)
        failed = self._read(lambda said: frames.failure(said, self.role, builtin=builtin), said)
        if failed is not None:
            raise PlayerFault(failed)
        return self._read(read, said)

    def _exchange(self, frame: dict[str, Any] | None, deadline: Deadline, limit: int) -> Any:
        if self._life is None:
            raise PlayerFault(f"{self.role} had already ended.")
        try:
            if frame is not None:
                self._life.channel.send(frame, deadline)
            return self._life.channel.receive(deadline, limit)
        except ChannelClosed:
            if self._stop() == NO_NAMESPACES:
                raise NoNamespaces(play.one_line(self._words).rstrip(".")) from None
            last = self._words.strip().rpartition("\n")[2]
            if last.startswith(OURS) and (self._builtin is not False):
                text = play.one_line(last.removeprefix(OURS))
                raise errors.HarnessFault(text) from None
            raise PlayerFault(f"{self.role} ended its own host process.") from None
        except (ChannelTimeout, BadFrame) as exc:
            self._stop()
            text = f"{self.role}'s host process broke off: {exc}"
            raise PlayerFault(play.one_line(text)) from None

    def _read(self, read: Callable[[Any], T], said: Any) -> T:
        """Read a frame; who sends what is none has been tampered with, and is ended."""
        try:
            return read(said)
        except BadFrame as exc:
            self._stop()
            text = f"{self.role}'s host process broke the channel: {exc}"
            raise PlayerFault(play.one_line(text)) from None

    def _stop(self) -> int:
        """Close the channel: the keeper then kills whatever lives, and says if it could.

        Returns its exit code.
        """
        life, self._life = self._life, None
        if life is None:
            return CLEAN
        code, self._words = life.end()
        if code not in (CLEAN, NO_NAMESPACES):
            what = "processes could not all be ended"
            if code == LITTER:
                what = "private folder could not be removed"
            self._trouble.append(f"{self.role}'s {what}, so nothing that they said counts.")
        return code

    def _last_words(self, table: Table, fault: str) -> str:
        """Tell how an import ended, with what its process wrote down at its end."""
        text = self._words
        if text.startswith("Timeout ("):
            frames = FRAME.findall(text)
            own = [frame for frame in frames if table.target.startswith(frame[0])]
            where = [f" ({Path(f).name}, line {n}, in {w})" for f, n, w in own or frames]
            story = f"The import of the compressor took longer than {IMPORT_SECONDS:g} s"
            return play.one_line(story + "".join(where[:1]))
        last = text.strip().rpartition("\n")[2]
        return play.one_line(f"The compressor cannot be imported: {fault} {last}")
