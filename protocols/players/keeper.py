"""The keeper of one life of a player: forked for it from the template, and ended with it.

It is ours alone and never imports a plug-in. It forks the host of the life, which does, and waits.
When the harness closes the life's channel or dies, or the host ends, it ends every process there
is, and removes the private folder and the shared memory left behind. HOW it keeps:

* ``namespaces``: it enters them, and the host is the first process of a new pid namespace, with
  which the kernel ends all others in it. What was left behind goes with the mounts.
* ``process`` isolation, that is ``landlock`` where there is that, else ``bare``: it is the
  subreaper of all that follows, and ends those processes by name.

Its exit code is 0 if nothing survived and nothing is left. That namespaces cannot be had is told by
ours alone, before a plug-in is imported. Whatever a keeper read while it cleaned up (names of files
and processes, which a player may choose) ends with it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from . import landlock, namespaces, reaper, residue, seccomp
from .codes import CLEAN, LITTER, NO_NAMESPACES, OURS, SURVIVORS
from .kernels import keep_kernels_apart

_POLL_MS = 50
_END_SECONDS = 4.0


def keep(host: str, role: str, how: str, private: str, size: int, fds: tuple[int, int]) -> int:
    """Keep one life; return the exit code.

    Args:
        host: the module of this room whose ``serve`` plays: ``host`` or ``query_host``.
        role: "Alice" or "Bob", for the sentences.
        how: see above.
        private: the private folder, empty.
        size: bytes that all files there may have.
        fds: the life's channel and its last words.
    """
    reaper.become_subreaper()
    os.chdir(private)
    os.environ.update(HOME=f"{private}/home", TMPDIR=f"{private}/tmp")
    try:
        importlib.import_module(f".{host}", __package__)
    except Exception as exc:
        os.write(fds[1], f"\n{OURS}{_told(exc)}\n".encode(errors="replace"))
        return CLEAN
    if how == "namespaces":
        return _keep_namespaces(host, role, private, size, fds)
    before = residue.snapshot()
    pid = os.fork()
    if pid == 0:
        _become_host(host, role, private, fds, partial(_harden, how, private))
    _watch(pid, fds[0])
    os.close(fds[0])
    return _clean(how, private, before)


def _keep_namespaces(host: str, role: str, private: str, size: int, fds: tuple[int, int]) -> int:
    try:
        namespaces.enter(private, size)
    except OSError as exc:
        os.write(fds[1], str(exc).encode())
        return NO_NAMESPACES
    settled, settle = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(settled)
        _become_host(host, role, private, fds, partial(_settle, private, settle))
    os.close(settle)
    _watch(pid, fds[0])
    os.close(fds[0])
    if not _end(pid):
        return SURVIVORS
    return CLEAN if os.read(settled, 1) else NO_NAMESPACES


def _end(pid: int) -> bool:
    """End the first process of a pid namespace; it is gone when all others in it are."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _END_SECONDS
    while reaper.reap():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def _clean(how: str, private: str, before: residue.Snapshot) -> int:
    """End and remove whatever a life has left; return what that came to."""
    if not reaper.end_children():
        return SURVIVORS
    # Under Landlock no file there can be this player's; what is new is somebody else's.
    residue.sweep(before, files=how == "bare")
    return CLEAN if residue.remove(private) else LITTER


def high(fd: int) -> int:
    """Copy a descriptor out of the way of what plug-ins print to; exec does not pass it on."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def _watch(pid: int, channel: int) -> None:
    """Wait until the host ends or nobody can write to it any more, without reading."""
    poll = select.poll()
    poll.register(channel, 0)
    pidfd = None
    with contextlib.suppress(AttributeError, OSError):
        pidfd = os.pidfd_open(pid)
        poll.register(pidfd, select.POLLIN)
    while not poll.poll(_POLL_MS if pidfd is None else None):
        if os.waitpid(pid, os.WNOHANG)[0]:
            break
    if pidfd is not None:
        os.close(pidfd)


def _become_host(
    host: str,
    role: str,
    private: str,
    fds: tuple[int, int],
    settle: Callable[[], None],
) -> NoReturn:
    code = 1
    try:
        settle()
        keep_kernels_apart(private)
        code = importlib.import_module(f".{host}", __package__).serve(role, *fds)
    except _Refused as exc:
        os.write(fds[1], str(exc).encode())
    except Exception as exc:  # what the plug-in raises is caught where it is called
        os.write(fds[1], f"\n{OURS}{_told(exc)}\n".encode(errors="replace"))
    finally:
        os._exit(code)


class _Refused(Exception):
    """The kernel refused a namespace."""


def _told(exc: Exception) -> str:
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}. Please report it, with the command."


def _settle(private: str, settled: int) -> None:
    """As the first process of the namespaces, take them in, and say so to the keeper."""
    try:
        namespaces.settle()
    except OSError as exc:
        raise _Refused(str(exc)) from exc
    # A read-only mount closes files, and not pipes with a name: Landlock does, where there is any.
    landlock.restrict([private, "/dev/shm"])
    os.write(settled, b"1")
    os.close(settled)


def _harden(how: str, private: str) -> None:
    """Take what can be had without namespaces."""
    reaper.die_with_parent()
    reaper.become_subreaper()
    for name in ("home", "tmp"):
        os.mkdir(f"{private}/{name}", 0o700)
    if how == "landlock":
        landlock.restrict([private])
    if reaper.LINUX:
        # The best that can be had: the row says 'process' either way.
        with contextlib.suppress(OSError):
            namespaces.drop_power()
            seccomp.restrict(own_mounts=False)
