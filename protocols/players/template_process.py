"""The players' entry point: the template, from which the keeper of every life is forked.

``python -m ...players.template_process``, with the harness's socket on descriptor 0. It imports
what is ours, once, and then waits: for each order of the harness it forks a :mod:`.keeper`, and
says how that ended. It never imports a plug-in, reads none of what players send or leave, not even
the name of a file or of a process, and so has nothing in its memory that one life could pass on to
the next. It ends when the harness does; it has one thread, to fork from.

An order is a msgpack frame behind its length, with three descriptors: a life's channel, its last
words, and where to write its keeper's number, and its exit code once it has ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, NoReturn

import msgpack

from . import keeper, reaper
from .channel import NAMES
from .codes import DESCRIPTORS, KEEPER, LITTER, ORDER_LENGTH, SURVIVORS

_POLL_MS = 50
_LAST_SECONDS = 4.5


@dataclass
class _Kept:
    """A life: its keeper, where its end is told, and the private folder that must be gone then."""

    pid: int
    pidfd: int | None
    report: int
    private: str


def main() -> int:
    """Be the template until the harness is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    harness = socket.socket(fileno=keeper.high(0))
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    with contextlib.suppress(Exception):  # who needs it imports it again, and says what is wrong
        importlib.import_module(".host", __package__)
    gc.freeze()  # or a collection in a fork would touch, and so copy, all that is shared with it
    kept: list[_Kept] = []
    while _is_called(harness, kept):
        order = _receive(harness)
        if order is None:
            break
        kept.append(_begin(harness, kept, *order))
    deadline = time.monotonic() + _LAST_SECONDS
    while kept and time.monotonic() < deadline:  # their channels are closed as well
        _wait(None, kept)
    return 0


def _is_called(harness: socket.socket, kept: list[_Kept]) -> bool:
    """Tell of the lives that end until the harness speaks, or is gone."""
    while not _wait(harness, kept):
        pass
    return True


def _wait(harness: socket.socket | None, kept: list[_Kept]) -> bool:
    """Wait until something happens; tell of the lives that have ended.

    Returns whether the harness spoke.
    """
    poll = select.poll()
    if harness is not None:
        poll.register(harness, select.POLLIN)
    for life in kept:
        if life.pidfd is not None:
            poll.register(life.pidfd, select.POLLIN)
    blind = harness is None or any(life.pidfd is None for life in kept)
    ready = {fd for fd, _ in poll.poll(_POLL_MS if blind else None)}
    for life in list(kept):
        pid, status = os.waitpid(life.pid, os.WNOHANG)
        if pid:
            kept.remove(life)
            _tell_end(life, os.waitstatus_to_exitcode(status))
    return harness is not None and harness.fileno() in ready


def _tell_end(life: _Kept, code: int) -> None:
    if os.path.lexists(life.private):
        try:
            os.rmdir(life.private)  # which fails unless it is empty: nobody need look into it
        except OSError:
            code = code or LITTER
    with contextlib.suppress(OSError):
        os.write(life.report, bytes([code % 256]))
    os.close(life.report)
    if life.pidfd is not None:
        os.close(life.pidfd)


def _receive(harness: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next order and its descriptors, None once there is no harness any more."""
    head, fds, _, _ = socket.recv_fds(harness, ORDER_LENGTH, DESCRIPTORS)
    if len(head) < ORDER_LENGTH or len(fds) < DESCRIPTORS:
        return None
    left, body = int.from_bytes(head, "big"), b""
    while len(body) < left:
        more = harness.recv(left - len(body))
        if not more:
            return None
        body += more
    return msgpack.unpackb(body, unicode_errors=NAMES), fds


def _begin(
    harness: socket.socket, kept: list[_Kept], order: dict[str, Any], fds: list[int]
) -> _Kept:
    channel, words, report = map(keeper.high, fds)
    for fd in fds:
        os.close(fd)
    pid = os.fork()
    if pid == 0:
        # A life holds nothing of another one: no report of its end, and no hold of its keeper.
        of_others = [fd for life in kept for fd in (life.report, life.pidfd) if fd is not None]
        _become_keeper(harness, [*of_others, report], order, (channel, words))
    for fd in (channel, words):
        os.close(fd)
    with contextlib.suppress(OSError):
        os.write(report, pid.to_bytes(KEEPER, "big"))
    pidfd = None
    with contextlib.suppress(AttributeError, OSError):
        pidfd = os.pidfd_open(pid)
    return _Kept(pid, pidfd, report, order["private"])


def _become_keeper(
    harness: socket.socket, others: list[int], order: dict[str, Any], fds: tuple[int, int]
) -> NoReturn:
    code = SURVIVORS
    try:
        reaper.die_with_parent()
        os.setsid()
        harness.close()
        for fd in others:
            os.close(fd)
        code = keeper.keep(**order, fds=fds)
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
