"""One child of the host: forked for one message, heard under a deadline, buried with its story."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import reaper
from .channel import BadFrame, Body, Channel, ChannelClosed, ChannelTimeout, Deadline, unpack
from .codes import FRAME
from .play import PlayerFault, one_line

_TAIL = 1 << 14
_LAST_WORDS = 0.4
_NAP = 0.05
_NO_CHANNEL = 71


@dataclass
class Conduct:
    """How a player has to behave: its role and its limits; and what a child must not inherit.

    ``private_fds`` are the host's own descriptors; ``folder`` is the plug-in's, for sentences.
    """

    role: str
    seconds: float
    memory_bytes: int
    private_fds: tuple[int, ...] = ()
    folder: str | None = None


class Child:
    """A forked process that runs ``work(channel)`` and ends.

    Its standard output goes nowhere; the last 16 KiB of its standard error are kept. The time it
    spends waiting for us does not count.
    """

    def __init__(self, work: Callable[[Channel], None], conduct: Conduct) -> None:
        self._conduct = conduct
        self._deadline = Deadline(conduct.seconds)
        self._tail = bytearray()
        self._status: int | None = None
        ours, theirs = (end.detach() for end in socket.socketpair())
        self._err, err = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for fd in (ours, self._err, *conduct.private_fds):
                    os.close(fd)
                _live(work, Channel(theirs), err, conduct.memory_bytes)
            finally:
                os._exit(70)
        for fd in (theirs, err):
            os.close(fd)
        os.set_blocking(self._err, False)
        self._channel = Channel(ours)
        with contextlib.suppress(OSError):
            os.setpgid(self.pid, self.pid)
        self._pidfd = _pidfd(self.pid)

    def tell(self, body: Body) -> None:
        """Pass one frame on as it came; the child waits for it.

        Raises:
            PlayerFault: it does not.
        """
        try:
            self._deadline.resume()
            self._channel.forward(body, self._deadline)
        except (ChannelClosed, ChannelTimeout):
            raise self._story() from None

    def renew_time(self) -> None:
        """Give it all of its time again."""
        self._deadline = Deadline(self._conduct.seconds)

    def hear(self) -> tuple[Any, Body]:
        """Return the child's next frame, read and as it came.

        Raises:
            PlayerFault: it took too long, died or said no frame; the text tells which.
        """
        self._deadline.resume()
        body = self._hear()
        try:
            return unpack(body), body
        except BadFrame as exc:
            raise self._broke(exc) from None

    def end(self) -> None:
        """Kill the child's process group, wait for it, and let go of all descriptors."""
        self._bury(0.0)
        self._channel.close()
        for fd in (self._err, self._pidfd):
            if fd is not None:
                os.close(fd)
        self._err, self._pidfd = None, None  # type: ignore[assignment]

    def _hear(self) -> Body:
        reader = self._channel.reader()
        poll = select.poll()
        poll.register(self._channel.fd_in, select.POLLIN)
        poll.register(self._err, select.POLLIN)
        if self._pidfd is not None:
            poll.register(self._pidfd, select.POLLIN)
        while True:
            left = self._deadline.slice()
            if not left:
                raise self._late()
            nap = left if self._pidfd is not None else min(left, _NAP)
            ready = {fd for fd, _ in poll.poll(1000 * nap + 1)}
            if self._err in ready and not self._listen():
                poll.unregister(self._err)
            try:
                if self._channel.fd_in in ready:
                    body = reader.pull(self._channel.fd_in)
                    if body is not None:
                        return body
                elif self._pidfd in ready or (self._pidfd is None and self._gone()):
                    raise self._story()
            except ChannelClosed:
                raise self._story() from None
            except BadFrame as exc:
                raise self._broke(exc) from None

    def _broke(self, exc: BadFrame) -> PlayerFault:
        return PlayerFault(one_line(f"{self._conduct.role} broke the channel: {exc}"))

    def _listen(self) -> bool:
        """Keep the tail of what came on standard error; False once it ended."""
        try:
            data = os.read(self._err, 1 << 16)
        except BlockingIOError:
            return True
        self._tail += data
        del self._tail[:-_TAIL]
        return bool(data)

    def _gone(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def _bury(self, patience: float) -> bool:
        """Wait that long for the child to end by itself, then kill it and its group.

        Returns whether it had ended by itself.
        """
        deadline = time.monotonic() + patience
        while not self._gone() and time.monotonic() < deadline:
            time.sleep(0.002)
        alone = self._status is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            _, self._status = os.waitpid(self.pid, 0)
        return alone

    def _late(self) -> PlayerFault:
        # SIGABRT first: faulthandler then writes down where the child is.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGABRT)
        self._bury(_LAST_WORDS)
        seconds = f"{self._conduct.seconds:g} s"
        return PlayerFault(f"{self._conduct.role} did not answer within {seconds}{self._where()}.")

    def _story(self) -> PlayerFault:
        """Tell how a child ended that said nothing more."""
        alone = self._bury(_LAST_WORDS)
        assert self._status is not None
        how = reaper.ending(self._status)
        if not alone or self._status == _NO_CHANNEL << 8:
            how = "closed its channel"
        if how == "was killed by SIGKILL":
            how += f" (its memory limit is {self._conduct.memory_bytes >> 20} MiB)"
        return PlayerFault(f"{self._conduct.role} {how} without an answer{self._where()}.")

    def _where(self) -> str:
        """Return the line of the plug-in that faulthandler wrote down, in parentheses, or ''."""
        with contextlib.suppress(OSError, TypeError):
            self._listen()
        frames = FRAME.findall(self._tail.decode(errors="replace"))
        folder = self._conduct.folder
        mine = [frame for frame in frames if folder and frame[0].startswith(folder)]
        for path, line, function in mine or frames:
            return f" ({Path(path).name}, line {line}, in {function})"
        return ""


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _live(work: Callable[[Channel], None], channel: Channel, err: int, memory_bytes: int) -> None:
    """In the child: take the limits, do the work once, and end without any clean-up of Python's."""
    import faulthandler

    me = os.getpid()
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    reaper.die_with_parent()
    os.dup2(err, 2)
    os.close(err)
    _limit(memory_bytes)
    faulthandler.enable(2, all_threads=False)
    mute = _OnlyIn(me, channel)
    try:
        work(mute)
    except (ChannelClosed, ChannelTimeout):
        os._exit(_NO_CHANNEL)
    os._exit(0)


class _OnlyIn(Channel):
    """The channel as long as we are the process that was given it: a fork's copy stays silent."""

    def __init__(self, pid: int, channel: Channel) -> None:
        self._pid = pid
        super().__init__(channel.fd_in, channel.fd_out)

    def send(self, value: Any, deadline: Deadline | None = None) -> None:
        if os.getpid() != self._pid:
            os._exit(0)
        super().send(value, deadline)


def _limit(memory_bytes: int) -> None:
    """Allow ``memory_bytes`` of address space more than is in use, and files of that size."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    wanted = {resource.RLIMIT_AS: _used() + memory_bytes, resource.RLIMIT_FSIZE: memory_bytes}
    for kind, limit in wanted.items():
        limit = _capped(limit, resource.getrlimit(kind)[1])
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (limit, limit))


@contextlib.contextmanager
def memory_limit(memory_bytes: int) -> Iterator[None]:
    """For a while, allow this process that much address space more than it uses."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_capped(_used() + memory_bytes, hard), hard))
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _used() -> int:
    """The address space of this process, in bytes; 0 where it cannot be known."""
    import resource

    with contextlib.suppress(OSError), open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()
    return 0


def _capped(limit: int, hard: int) -> int:
    import resource

    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)
