"""Ending processes for certain: subreapers, parent-death signals, and killing every descendant.

A daemon that forks twice and calls ``setsid`` escapes its process group, but not its nearest
subreaper: orphans are handed to that one, which kills them until it has no children left.
Light on purpose: the template of the players imports it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Collection

GRACE = 6.0
"""Seconds by which :func:`overseen` may end later than it is told."""

_LAST_WORDS = 0.5
_NAP = 0.005
_PDEATHSIG = 1
_CHILD_SUBREAPER = 36

LINUX = sys.platform == "linux"


def prctl(option: int, value: int) -> bool:
    """Call prctl(2); False where there is none or it refuses."""
    if not LINUX:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.prctl(option, value, 0, 0, 0)) == 0


def die_with_parent() -> None:
    """Have the kernel SIGKILL this process when its parent ends (Linux)."""
    prctl(_PDEATHSIG, signal.SIGKILL)


def become_subreaper() -> bool:
    """Have orphaned descendants handed to this process instead of to init (Linux)."""
    return prctl(_CHILD_SUBREAPER, 1)


def children(pid: int) -> set[int]:
    """Return the living and the zombie children of a process."""
    found: set[int] = set()
    if not os.path.isdir("/proc/self"):
        return _children_by_ps(pid)
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
                if int(fields[1]) == pid:
                    found.add(int(name))
    return found


def _children_by_ps(pid: int) -> set[int]:
    import subprocess

    with subprocess.Popen(["ps", "-A", "-o", "pid=,ppid="], stdout=subprocess.PIPE) as ps:
        said, _ = ps.communicate()
    pairs = [line.split() for line in said.decode().splitlines()]
    return {int(child) for child, parent in pairs if int(parent) == pid} - {ps.pid}


def reap() -> bool:
    """Wait for every child that has ended already; False when there is no child at all."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


def end_children(keep: Collection[int] = (), seconds: float = 4.0) -> bool:
    """SIGKILL all descendants but the children in ``keep`` (and theirs), and wait for their end.

    As a subreaper we inherit the children of those we kill, so we go on until none comes any more.
    Returns False if some are left after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while reap():
        left = children(os.getpid()) - set(keep)
        if not left:
            return True
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def overseen(work: Callable[[], int], seconds: float) -> int:
    """Do ``work`` in a fork; then end whatever it started, daemons too, and only then return.

    After ``seconds`` it gets SIGABRT, so that faulthandler writes down where it is, and is killed
    then; so it is if our parent ends, or asks us to by SIGTERM. Returns its exit code; who was
    killed by a signal takes us along, by the same one.
    """
    become_subreaper()
    parent, deadline = os.getppid(), time.monotonic() + seconds
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGTERM, before)
            die_with_parent()
            code = work()
        finally:
            os._exit(code)
    while not asked and os.getppid() == parent and time.monotonic() < deadline:
        if _ended(pid):
            break
        time.sleep(_NAP)
    for number in (signal.SIGABRT, signal.SIGKILL):
        if not _ended(pid):
            os.kill(pid, number)
            until = time.monotonic() + _LAST_WORDS
            while time.monotonic() < until and not _ended(pid):
                time.sleep(_NAP)
    _, status = os.waitpid(pid, 0)
    end_children()
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _ended(pid: int) -> bool:
    """Whether our child has ended; it is not waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def ending(status: int) -> str:
    """Return how a process ended, from its wait status, as the end of a sentence.

    >>> ending(3 << 8), ending(11)
    ('ended with exit code 3', 'was killed by SIGSEGV')
    """
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
