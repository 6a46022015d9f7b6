"""The host of one player: imports the plug-in once, then forks a fresh child for every message.

It hosts any number of tables, one plug-in at several budgets, say. Orders name theirs by its number
among those at which somebody can play.

The child gets the secret over a pipe after it has built its instance, answers once, and is killed
with whatever it started. A crash, a hang or a full memory ends one child; the host goes on.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from ...compressors import targets as _targets  # noqa: F401 (imported before hosts are forked)
from ...compressors.catalog import is_builtin
from ...compressors.engines.schemes import is_engine, scheme_of
from ...errors import BadInput, BudgetTooSmall, HarnessFault, KVBarrierError
from . import reaper
from .channel import BadFrame, Body, Channel, ChannelClosed, as_array, unpack
from .child import Child, Conduct, memory_limit
from .codes import IMPORT_SECONDS
from .play import (
    Build,
    PlayerFault,
    Table,
    answer,
    builder,
    built,
    declared_length,
    facts,
    facts_again,
    fault_of,
    feed,
    handed,
    memories,
    rehearse,
    shortened,
    write,
)

_IMPORT_BYTES = 8 << 30
_TEXT = 1 << 16
_OURS = __name__.partition(".")[0] + "."


class Host(ABC):
    """What hosts of every game share: a channel to the harness, and one child at a time."""

    def __init__(self, channel: Channel, conduct: Conduct, words: int) -> None:
        self.words = words
        self.channel = channel
        self.conduct = conduct
        self.keep: set[int] = set()
        self.child: Child | None = None
        self.builtin = False

    @abstractmethod
    def run(self, opening: dict[str, Any]) -> int:
        """Answer the harness, first its opening order, with tables; return an exit code.

        Raises ChannelClosed once it has left.
        """

    @contextlib.contextmanager
    def importing(self, table: Table) -> Iterator[None]:
        """From where relative targets start, for as long as a target is imported.

        An import has a limit of time and of memory too. After that time the process ends, and its
        last words say where it was.
        """
        import faulthandler

        faulthandler.dump_traceback_later(IMPORT_SECONDS, file=self.words, exit=True)
        try:
            os.chdir(table.folder)
            with memory_limit(max(self.conduct.memory_bytes, _IMPORT_BYTES)):
                yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            os.chdir(os.environ.get("HOME", "/"))

    def settle(self, folder: object | None) -> None:
        """The target is there: whatever its import has started stays, and its lines are known."""
        self.conduct.folder = None if folder is None else str(folder) + os.sep
        self.keep = reaper.children(os.getpid()) - ({self.child.pid} if self.child else set())
        gc.freeze()  # or a collection in a child would touch, and so copy, all that it shares

    def end(self) -> None:
        """End the child, if there is one, and all that it started."""
        child, self.child = self.child, None
        if child is not None:
            child.end()
            reaper.end_children(keep=self.keep)


def serve_with(
    make: Callable[[Channel, Conduct, int], Host],
    role: str,
    fd: int,
    words: int,
) -> int:
    """Answer the harness until it closes the channel; returns an exit code.

    Args:
        make: the host of the game.
        role: "Alice" or "Bob", for the sentences.
        fd: the channel's descriptor.
        words: where a crash of the host itself may leave its last words.
    """
    import faulthandler

    faulthandler.enable(words, all_threads=False)
    # Forking with threads that an import started is what we do; the child is told so by its end.
    warnings.simplefilter("ignore", DeprecationWarning)
    channel = Channel(fd)
    try:
        opening = _unpacked(channel.body())
        conduct = Conduct(
            role, opening["seconds"], opening["memory_bytes"], private_fds=(fd, words)
        )
        return make(channel, conduct, words).run(opening)
    except (ChannelClosed, BadFrame):
        return 0


def _unpacked(body: Body) -> Any:
    """An order in memory that is nobody's file.

    Tables stay as long as the host does, and each child has its descriptors: with the mode of
    a file and the place that it is read at, one child could tell the next what its secret was.
    """
    return unpack(bytearray(body))


def sent_tables(order: dict[str, Any]) -> list[Table]:
    """The tables as they came over the channel."""
    return [Table.of(said) for said in order["tables"]]


def serve(role: str, fd: int, words: int) -> int:
    """Host Alice or Bob; see :func:`serve_with`."""
    return serve_with(_IndexHost, role, fd, words)


@dataclass(frozen=True)
class _Hosted:
    """A table, its target and how to build the compressor."""

    table: Table
    target: Any
    build: Build
    folder: str | None

    @property
    def builtin(self) -> bool:
        """Whether it ships with us."""
        return is_builtin(self.table.target)

    def at(self, table: Table) -> _Hosted:
        """The same target at another table."""
        return replace(self, table=table, build=partial(built, self.target, table))


class _IndexHost(Host):
    def __init__(self, channel: Channel, conduct: Conduct, words: int) -> None:
        super().__init__(channel, conduct, words)
        self.hosted: list[_Hosted] = []
        self.rehearsals = _Rehearsals(self, [])
        self.rehearsing = False

    def run(self, opening: dict[str, Any]) -> int:
        self._open(opening, None)
        while True:
            body = self.channel.body()
            order = unpack(body)
            if order["op"] == "tables":
                self._open(_unpacked(body), body)
                del order, body
                continue
            if order["op"] == "begin":
                reply = self._begin(order, body)
            else:
                reply = self._turn(body, last=order["op"] != "feed")
            del order, body  # what a child was told is not kept while nothing is asked
            if isinstance(reply, dict):
                self.channel.send(reply)
            else:
                self.channel.forward(reply)
            del reply

    # -- before any secret --------------------------------------------------------------------

    def _open(self, order: dict[str, Any], body: Body | None) -> None:
        """Answer one frame a table: facts, or why nobody can play there.

        ``body`` is the order as it came, for the child that rehearses to go on with; a new host has
        none.
        """
        tables, known = sent_tables(order), order["known"]
        found = [self._found(table) for table in tables]
        foreign = [one for one in found if isinstance(one, _Hosted) and not one.builtin]
        familiar = {table.target for table in tables} <= {one.table.target for one in self.hosted}
        if known is not None or not familiar or len(foreign) < len(tables):
            self.end()
        self.rehearsals = _Rehearsals(self, foreign, body if self.rehearsing else None)
        for number, one in enumerate(found):
            said = self._facts(one, known and known[number]) if isinstance(one, _Hosted) else one
            if isinstance(one, _Hosted) and "facts" in said:
                self.hosted.append(one)
            self.channel.send(said)
        gc.freeze()

    def _facts(self, one: _Hosted, before: dict[str, Any] | None) -> dict[str, Any]:
        """What it says of itself, with what an earlier life found out ``before``, if one did."""
        if one.builtin:
            return self._open_builtin(one)
        said = self.rehearsals.next() if before is None else facts_again(one.target, before)
        with contextlib.suppress(LookupError, TypeError):  # what a player says may be anything
            self._warm(one, said["facts"]["modules"])
        return said

    def _warm(self, one: _Hosted, modules: Sequence[str]) -> None:
        """Import what a rehearsal needed; here, once for all children, make what they share.

        That is what numba compiled, by another rehearsal, and what an engine's module keeps.
        """
        # Ours first: a description knows where its package lies, if another has the same name.
        for name in sorted(modules, key=lambda name: not name.startswith(_OURS)):
            with contextlib.suppress(Exception):  # a name made at run time: its user makes it
                importlib.import_module(name)
        scheme = scheme_of(one.table.target)
        with contextlib.suppress(Exception):  # then it fails in the rounds, and is reported
            if "numba" in sys.modules:
                rehearse(one.build, one.table)
            elif scheme is not None and scheme.shares:
                one.build(0).save()

    def _found(self, table: Table) -> _Hosted | dict[str, Any]:
        try:
            with self.importing(table):
                target, build = builder(table)
        except BaseException as exc:
            return refusal(exc, "The compressor")
        self.settle(target.folder)
        return _Hosted(table, target, build, self.conduct.folder)

    def _open_builtin(self, one: _Hosted) -> dict[str, Any]:
        """Rehearse here, not in a child: our own code neither crashes nor leaves anything."""
        try:
            said = facts(one.target, one.build(0), builtin=True)
        except Exception as exc:
            return refusal(exc, "The compressor", one.folder, builtin=True)
        short = shortened(one.table)
        with contextlib.suppress(Exception):
            rehearse(one.at(short).build, short)
        return {"facts": asdict(said)}

    # -- the rounds ---------------------------------------------------------------------------

    def end(self) -> None:
        self.rehearsing = False
        super().end()

    def _begin(self, order: dict[str, Any], body: Body) -> dict[str, Any] | Body:
        one = self.hosted[order["table"]]
        again = order["rehearsal"] and self.rehearsing
        if not again:
            self.end()
        self.conduct.role, self.conduct.folder = order["role"], one.folder
        self.builtin = one.builtin
        if again:
            return self._turn(body)
        build, seed = one.build, order["seed"]
        self.child = Child(lambda channel: _play(channel, build, seed, self), self.conduct)
        return self._reply(self.child)

    def _turn(self, body: Body, *, last: bool = True) -> dict[str, Any] | Body:
        """Pass an order on to the child, who ends with the ``last`` one."""
        child = self.child
        if child is None:
            return {"failed": f"{self.conduct.role} had already ended."}
        if self.rehearsing:
            child.renew_time()
        try:
            child.tell(body)
            return self._reply(child)
        finally:
            if last and not self.rehearsing:
                self.end()

    def _reply(self, child: Child) -> dict[str, Any] | Body:
        try:
            return child.hear()[1]
        except PlayerFault as fault:
            return {"failed": str(fault)}


class _Rehearsals:
    """Foreign compressors built and played once on a public stream, in a child for all of them.

    With an ``order`` for more tables, that is the child of earlier ones, where it still lives.

    Who fails after others did well is tried again in a child of its own: what they left in the
    first one may be why. The child stays, for a message that counts for nothing to be played there.
    """

    def __init__(
        self, host: _IndexHost, hosted: Sequence[_Hosted], order: Body | None = None
    ) -> None:
        self._host = host
        self._left = list(hosted)
        self._order = order
        self._before = order is not None

    def next(self) -> dict[str, Any]:
        """What the next one said in its rehearsal."""
        one = self._left[0]
        self._host.conduct.folder = one.folder
        said, error = self._hear()
        if self._before and (error or not said.keys() & {"facts", "budget"}):
            self._end()
            said, error = self._hear()
        del self._left[0]
        if error:
            self._end()
            # An engine's contract is our adapter's, and check has no word for it.
            hint = "" if is_engine(one.target.name) else " 'kvbarrier check' explains the fault."
            text = f"{one.target.name} failed in a rehearsal: {error}{hint}"
            return {"error": "PluginFailure", "text": text}
        self._before = True
        return said

    def _hear(self) -> tuple[dict[str, Any], PlayerFault | None]:
        host, left = self._host, tuple(self._left)
        if host.child is None:
            host.child = Child(lambda channel: _rehearse_all(channel, left, host), host.conduct)
            host.rehearsing = True
        host.child.renew_time()
        order, self._order = self._order, None
        try:
            if order is not None:
                host.child.tell(order)
            said, _ = host.child.hear()
        except PlayerFault as fault:
            return {}, fault
        if type(said) is not dict:
            return {}, PlayerFault("it did not send its facts.")
        return said, None

    def _end(self) -> None:
        self._host.end()
        self._before = False


def refusal(
    exc: BaseException, who: str, folder: str | None = None, builtin: bool = False
) -> dict[str, Any]:
    """Turn an error before the first secret into a frame; ours keep their kind and their words.

    ``who`` failed, and its file lies in ``folder``.
    """
    if isinstance(exc, BudgetTooSmall):
        budget = [exc.name, exc.budget_bits, exc.minimum_bits]
        return {"error": "BudgetTooSmall", "text": str(exc), "budget": budget}
    if isinstance(exc, KVBarrierError) and not isinstance(exc, HarnessFault):
        kind = "BadInput" if isinstance(exc, BadInput) else "PluginFailure"
        detail = getattr(exc, "detail", None)
        return {"error": kind, "text": str(exc)[:_TEXT], "detail": detail and detail[-_TEXT:]}
    fault = fault_of(exc, who, folder, builtin)
    kind = "HarnessFault" if isinstance(fault, HarnessFault) else "PluginFailure"
    return {"error": kind, "text": str(fault)}


def failure(exc: BaseException, host: Host) -> dict[str, Any]:
    """Turn an error in a round into a frame."""
    fault = fault_of(exc, host.conduct.role, host.conduct.folder, host.builtin)
    if isinstance(fault, HarnessFault):
        return {"error": "HarnessFault", "text": str(fault)}
    return {"failed": str(fault)}


# -- in the child -----------------------------------------------------------------------------


def _rehearse_all(channel: Channel, left: Sequence[_Hosted], host: _IndexHost) -> None:
    compressor = fresh = None
    while True:
        for one in left:
            said = _rehearsed(one)
            if "facts" in said:
                host.hosted.append(one)  # as the host will do
            channel.send(said)
        left = ()
        order = _heard(channel)
        try:
            if order["op"] == "tables":
                known = {one.table.target: one for one in host.hosted}
                left = [known[table.target].at(table) for table in sent_tables(order)]
                continue
            if order["op"] == "begin":
                one = host.hosted[order["table"]]
                host.conduct.role, host.conduct.folder = order["role"], one.folder
                fresh = partial(one.build, order["seed"])
                compressor = fresh()
                reply: dict[str, Any] = {"declared": declared_length(compressor)}
            else:
                order["build"] = fresh
                reply = _TURNS[order["op"]](compressor, order)
        except BaseException as exc:
            reply = failure(exc, host)
        channel.send(reply)


def _rehearsed(one: _Hosted) -> dict[str, Any]:
    said, before = None, set(sys.modules)
    try:
        said = facts(one.target, one.build(0), builtin=False)
        rehearse(one.build, one.table)
    except BudgetTooSmall as exc:
        # A batch algorithm may learn of its budget only when it compresses.
        return refusal(exc, "The compressor", one.folder)
    except BaseException as exc:
        if said is None:
            return refusal(exc, "The compressor", one.folder)
        # Whatever else fails in a rehearsal fails in the rounds, where it counts.
    modules = tuple(name for name in list(sys.modules) if name not in before)
    return {"facts": asdict(replace(said, modules=modules))}


def _play(channel: Channel, build: Build, seed: int, host: _IndexHost) -> None:
    try:
        compressor = build(seed)
        channel.send({"declared": declared_length(compressor)})
        while (order := _heard(channel, host.builtin))["op"] == "feed":
            channel.send(_feed(compressor, order))
        order["build"] = partial(build, seed)
        reply = _TURNS[order["op"]](compressor, order)
    except ChannelClosed:
        return
    except BaseException as exc:
        reply = failure(exc, host)
    compressor = order = None  # a large reply takes memory of its own
    channel.send(reply)


def _heard(channel: Channel, builtin: bool = False) -> Any:
    """The next order, with its messages as the player gets them."""
    order = channel.receive()
    for name in ("earlier", "message"):
        if order.get(name) is not None:
            order[name] = handed(order[name].data, builtin=builtin)
    return order


def _feed(compressor: Any, order: dict[str, Any]) -> dict[str, Any]:
    feed(compressor, tuple(order["triples"]), order["earlier"])
    return {"fed": True}


def _write(compressor: Any, order: dict[str, Any]) -> dict[str, Any]:
    triples, earlier = tuple(order["triples"]), order["earlier"]
    message, payload = write(compressor, triples, earlier, order["schedule"], order["build"])
    held = memories(compressor, message) if order["account"] else None
    return {"message": as_array(message), "payload": payload, "memories": held}


def _answer(compressor: Any, order: dict[str, Any]) -> dict[str, Any]:
    queries = tuple(order["queries"])
    said = answer(compressor, order["message"], queries, order["thresholds"], order["block"])
    return {"answer": said}


_TURNS: dict[str, Callable[[Any, dict[str, Any]], dict[str, Any]]] = {
    "feed": _feed,
    "write": _write,
    "answer": _answer,
}
