"""Fault points: every write, fsync and rename of a results file passes through here.

``KVBARRIER_FAULT=k:action``, or ``armed(k, action)`` in a test, makes the k-th of them fail
(k = 1, 2, ...): ``full`` raises the error of a full disk, ``exit`` ends the process at once without
clean-up, ``kill`` sends it SIGKILL. A write that fails has written half of its bytes first, as a
torn write does. Unarmed, this is ``os.write``, ``os.fsync`` and ``os.replace``.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import BadInput

VARIABLE = "KVBARRIER_FAULT"
Action = Literal["full", "exit", "kill"]
ACTIONS: tuple[Action, ...] = ("full", "exit", "kill")


@dataclass
class Fault:
    """The fault that is armed: ``count`` points have been passed, the ``at``-th one fails."""

    at: int
    action: Action
    count: int = 0

    def is_due(self) -> bool:
        """Pass one point; True if it is the one that fails."""
        self.count += 1
        return self.count == self.at

    def strike(self) -> None:
        """Fail."""
        if self.action == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(99)


def _from_environment() -> Fault | None:
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    at, _, action = text.partition(":")
    if not at.isdigit() or action not in ACTIONS:
        raise BadInput(
            f"{VARIABLE} is '{text}': give a number and one of {', '.join(ACTIONS)}, such as "
            "3:full."
        )
    return Fault(int(at), action)


_fault: Fault | None = _from_environment()


@contextmanager
def armed(at: int, action: Action = "full") -> Iterator[Fault]:
    """Arm one fault for the length of a block; ``at=0`` only counts the points passed."""
    global _fault
    before, _fault = _fault, Fault(at, action)
    try:
        yield _fault
    finally:
        _fault = before


def write(fd: int, data: bytes) -> None:
    """Write all of ``data``, in one system call where the kernel takes it whole."""
    if _fault is not None and _fault.is_due():
        os.write(fd, data[: len(data) // 2])
        _fault.strike()
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def fsync(fd: int) -> None:
    """``os.fsync``."""
    if _fault is not None and _fault.is_due():
        _fault.strike()
    os.fsync(fd)


def replace(source: Path, target: Path) -> None:
    """``os.replace``."""
    if _fault is not None and _fault.is_due():
        _fault.strike()
    os.replace(source, target)


def fsync_folder(folder: Path) -> None:
    """Make a new or renamed name in ``folder`` durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fsync(fd)
    finally:
        os.close(fd)
