"""SIGINT and SIGTERM while batches run: the first asks to stop, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Self

from ..errors import KVBarrierError


class Interrupted(KVBarrierError):
    """A signal stopped the run; finished batches are kept.

    ``exit_code`` is 128 + the signal's number (130, 143). ``abandoned`` batches were still running:
    if there are any, their threads would hold up the interpreter's end, so the command
    line flushes its streams and leaves with ``os._exit``; their players die with this process.
    """

    def __init__(self, signum: int, kept: int, abandoned: int, where: str) -> None:
        name = signal.Signals(signum).name
        many = "1 batch is" if kept == 1 else f"{kept} batches are"
        what = (
            f"{many} kept in {where}: run the same command again to continue."
            if where
            else "no results of this run are kept: run the same command again."
        )
        super().__init__(f"Stopped by {name}; {what}")
        self.exit_code = 128 + signum
        self.kept = kept
        self.abandoned = abandoned

    def without_results(self) -> Self:
        """The same stop, of a run whose folder ends with it: nothing is kept."""
        return type(self)(self.exit_code - 128, 0, self.abandoned, "")


@dataclass
class StopRequest:
    """Set by the handler: the first signal's number, or None."""

    signum: int | None = None

    def __bool__(self) -> bool:
        return self.signum is not None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a request for the length of a block (in the main thread).

    The handler only sets a flag, so no write is cut in the middle; a second signal raises
    KeyboardInterrupt. In other threads signals are left alone.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(signum: int, _frame: FrameType | None) -> None:
        if request:
            raise KeyboardInterrupt
        request.signum = signum

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
