"""A player in our own process: for built-ins, whose code we trust to keep nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from numpy.typing import NDArray

from ... import errors
from ...compressors.catalog import is_builtin
from ...compressors.plugin.answers import WrongAnswer
from ...compressors.plugin.contract import Float32
from . import frames, play
from .channel import Message
from .play import Facts, Table, Triples
from .seat import Opened, Seat

T = TypeVar("T")


class InlineSeat(Seat):
    """See above."""

    def __init__(self) -> None:
        self._role = ""
        self._opened: list[tuple[Table, play.Build, str | None]] = []
        self._compressor: Any = None
        self._fresh: Callable[[], Any] | None = None
        self._memories: Mapping[str, Any] | None = None
        self._builtin = False
        self._folder: str | None = None

    def open(self, tables: Sequence[Table], known: Sequence[Facts] | None = None) -> list[Opened]:
        found: list[Opened] = []
        for table in tables:
            try:
                found.append(self._open(table))
            except errors.KVBarrierError as error:
                found.append(error)
        return found

    def _open(self, table: Table) -> Facts:
        try:
            self._builtin = is_builtin(table.target)
            target, build = play.builder(table)
            self._folder = None if target.folder is None else str(target.folder) + os.sep
            self._opened.append((table, build, self._folder))
            said = play.facts(target, build(0), builtin=self._builtin)
            facts = frames.facts_of(table, {"facts": told(said)})
            if not (facts.builtin or facts.streaming):
                # An answer that is none fails in the rounds, where it counts.
                with suppress(WrongAnswer):
                    play.rehearse(build, table)
            return facts
        except (errors.KVBarrierError, KeyboardInterrupt):
            raise
        except BaseException as exc:
            fault = play.fault_of(exc, "The compressor", self._folder, builtin=self._builtin)
            if isinstance(fault, errors.HarnessFault):
                raise fault from exc
            raise errors.PluginFailure(str(fault)) from exc

    def begin(self, table: Table, seed: int, role: str, rehearsal: bool = False) -> int | None:
        self._compressor = None  # two of them may be more than there is room for
        _, build, self._folder = next(one for one in self._opened if one[0] is table)
        self._builtin, self._role = is_builtin(table.target), role
        self._fresh = partial(build, seed)
        self._compressor = self._try(self._fresh)
        return self._try(lambda: play.declared_length(self._compressor))

    def feed(self, triples: Triples, earlier: Message | None) -> None:
        self._try(lambda: play.feed(self._compressor, triples, self._handed(earlier)))

    def write(
        self,
        triples: Triples,
        earlier: Message | None,
        schedule: Mapping[str, Any] | None = None,
        account: bool = False,
    ) -> tuple[Message, int]:
        before = self._handed(earlier)
        message, payload = self._try(
            lambda: play.write(self._compressor, triples, before, schedule, self._fresh)
        )
        if account:
            held = self._try(lambda: play.memories(self._compressor, message))
            self._memories = self._try(lambda: frames.memories(held))
        return message, payload

    def answer(
        self, message: Message, queries: Triples, thresholds: Float32 | None, block: int
    ) -> NDArray[Any]:
        given = self._handed(message)
        return self._try(lambda: play.answer(self._compressor, given, queries, thresholds, block))

    def _handed(self, message: Message | None) -> Any:
        return play.handed(message, builtin=self._builtin)

    def memories(self) -> Mapping[str, Any] | None:
        return self._memories

    def renew(self) -> None:
        # In our process nobody can be made to forget.
        self._compressor, self._opened = None, []

    def leave(self) -> str | None:
        self._compressor, self._opened = None, []
        return None

    def _try(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            raise play.fault_of(exc, self._role, self._folder, builtin=self._builtin) from exc


def told(facts: Facts) -> dict[str, Any]:
    """Facts as they stand in a frame."""
    return {**asdict(facts), "files": list(facts.files), "modules": list(facts.modules)}
