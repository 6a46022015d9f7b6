"""The players' entry point: ``python -m ...protocols.players.player ROLE HOW PRIVATE SIZE HOST``.

HOW is ``namespaces``, or for ``process`` isolation ``landlock`` where there is that, else ``bare``.
HOST is the module of this room whose ``serve`` plays: ``host`` or ``query_host``. A player's first
life has its channel on descriptors 0 and 1 and its last words on 2; an argument ``down,up,words``
more is a further life's.

This first process is the supervisor, ours alone: it never imports a plug-in. It forks the host of a
life, which does, and waits. When the harness closes the life's channel or dies, or the host ends,
it kills every descendant there is, removes the private folder and the shared memory left behind.
Only then the next life begins, with nothing of the last, once the harness speaks to it. The
supervisor ends with exit code 0 if nothing survived and nothing is left. Bob is started only after
that.

What is ours is imported here, once for all lives; the supervisor has one thread to fork from.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import sys
from typing import NoReturn

from . import landlock, namespaces, reaper, residue, seccomp

CLEAN, SURVIVORS, LITTER = 0, 3, 4
OURS = "The harness failed in a player: "
"""How the last words of a host begin that ended by a failure of ours."""
_POLL_MS = 50


def main(argv: list[str]) -> int:
    """Supervise one player."""
    role, how, private, size, host, *further = argv
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reaper.become_subreaper()
    given = [[0, 1, 2], *([int(fd) for fd in fds.split(",")] for fds in further)]
    lives = [(_high(down), _high(up), _high(words)) for down, up, words in given]
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (fd for fds in given for fd in fds):
        os.dup2(null, fd, inheritable=fd < 3)
    os.close(null)
    before = residue.snapshot()
    try:
        importlib.import_module(f".{host}", __package__)
    except Exception as exc:
        os.write(lives[0][2], f"\n{OURS}{_told(exc)}\n".encode(errors="replace"))
        return CLEAN
    gc.freeze()  # or a collection in a fork would touch, and so copy, all that is shared with it
    code = CLEAN
    while lives and code == CLEAN and _is_called(lives[0][0]):
        pid = os.fork()
        if pid == 0:
            for fd in (fd for fds in lives[1:] for fd in fds):
                os.close(fd)
            _become_host(host, role, how, private, int(size), lives[0])
        down, *rest = lives.pop(0)
        _watch(pid, down)
        os.close(down)
        code = _clean(how, private, before)
        for fd in rest:  # by this the harness knows that all have gone
            os.close(fd)
        if lives and code == CLEAN:
            os.mkdir(private, 0o700)
            os.chdir(private)
    residue.remove(private)
    return code


def _clean(how: str, private: str, before: residue.Snapshot) -> int:
    """End and remove whatever a life has left; return what that came to."""
    if not reaper.end_children():
        return SURVIVORS
    if how != "namespaces":
        # Under Landlock no file there can be this player's; what is new is somebody else's.
        residue.sweep(before, files=how == "bare")
    return CLEAN if residue.remove(private) else LITTER


def _is_called(down: int) -> bool:
    """Wait until the harness speaks to a life; False once it cannot any more."""
    poll = select.poll()
    poll.register(down, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll())


def _high(fd: int) -> int:
    """Move a descriptor out of the way of what plug-ins print to; it is not inherited by exec."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def _watch(pid: int, down: int) -> None:
    """Wait until the host ends or nobody can write to it any more, without reading."""
    poll = select.poll()
    poll.register(down, 0)
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
            for name in ("home", "tmp"):
                os.mkdir(f"{private}/{name}", 0o700)
            if how == "landlock":
                landlock.restrict([private])
            if reaper.LINUX:
                # The best that can be had: the row says 'process' either way.
                with contextlib.suppress(OSError):
                    namespaces.drop_power()
                    seccomp.restrict(own_mounts=False)
        if problem is None:
            namespaces.take_kernels(private)
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
