"""The players' entry point: ``python -m ...protocols.players.player ROLE HOW PRIVATE SIZE HOST``.

HOW is ``namespaces``, or for ``process`` isolation ``landlock`` where there is that, else ``bare``.
HOST is the module of this room whose ``serve`` plays: ``host`` or ``query_host``.

This first process is the supervisor, ours alone: it never imports a plug-in. It forks the host,
which does, and waits. When the harness closes the channel or dies, or the host ends, it kills
every descendant there is, removes the private folder and the shared memory left behind, and ends
with exit code 0 if nothing survived. Bob is started only after that.

Nothing heavy is imported here, so that the supervisor stays small and has one thread to fork from.
"""

from __future__ import annotations

import importlib
import os
import select
import shutil
import signal
import sys
from typing import NoReturn

from . import landlock, namespaces, reaper, residue

CLEAN, SURVIVORS = 0, 3
OURS = "The harness failed in a player: "
"""How the last words of a host begin that ended by a failure of ours."""
_POLL_MS = 50


def main(argv: list[str]) -> int:
    """Supervise one player; the channel is on descriptors 0 and 1."""
    role, how, private, size, host = argv
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reaper.become_subreaper()
    down, up, words = (_high(fd) for fd in (0, 1, 2))
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    before = residue.snapshot()
    if how != "namespaces":
        for name in ("home", "tmp"):
            os.makedirs(f"{private}/{name}", 0o700)
    pid = os.fork()
    if pid == 0:
        _become_host(host, role, how, private, int(size), (down, up, words))
    os.close(up)
    os.close(words)
    _watch(pid, down)
    clean = reaper.end_children()
    if how != "namespaces":
        # Under Landlock no file there can be this player's; what is new is somebody else's.
        residue.sweep(before, files=how == "bare")
    shutil.rmtree(private, ignore_errors=True)
    return CLEAN if clean else SURVIVORS


def _high(fd: int) -> int:
    """Move a descriptor out of the way of what plug-ins print to; it is not inherited by exec."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def _watch(pid: int, down: int) -> None:
    """Wait until the host ends or nobody can write to it any more, without reading."""
    poll = select.poll()
    poll.register(down, 0)
    try:
        pidfd = os.pidfd_open(pid)
        poll.register(pidfd, select.POLLIN)
        patience = None
    except (AttributeError, OSError):
        patience = _POLL_MS
    while True:
        if poll.poll(patience):
            return
        if os.waitpid(pid, os.WNOHANG)[0]:
            return


def _become_host(
    host: str, role: str, how: str, private: str, size: int, fds: tuple[int, int, int]
) -> NoReturn:
    code = 1
    try:
        problem = None
        if how == "namespaces":
            problem = _descend(private, size, fds)
        else:
            reaper.die_with_parent()
            reaper.become_subreaper()
            namespaces.own_keyring()
            if how == "landlock":
                landlock.restrict([private, *map(str, namespaces.numba_caches())])
        # Only now, and not in the supervisor: it brings NumPy and the plug-in.
        code = importlib.import_module(f".{host}", __package__).serve(role, *fds, problem)
    except Exception as exc:  # what the plug-in raises is caught where it is called
        os.write(fds[2], f"\n{OURS}{_told(exc)}\n".encode(errors="replace"))
    finally:
        os._exit(code)


def _told(exc: Exception) -> str:
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}. Please report it, with the command."


def _descend(private: str, size: int, fds: tuple[int, int, int]) -> str | None:
    """Enter the namespaces and come back as their first process; return what went wrong."""
    reaper.die_with_parent()
    try:
        namespaces.enter(private, size)
    except OSError as exc:
        return str(exc)
    pid = os.fork()
    if pid:
        for fd in fds:
            os.close(fd)
        os.waitpid(pid, 0)
        os._exit(0)
    try:
        namespaces.settle()
    except OSError as exc:
        return str(exc)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
