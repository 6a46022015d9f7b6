"""The harness's side of the template (:mod:`.template_process`): one process for each interpreter.

It is started when the first player sits down, and kept as long as somebody holds it (:func:`held`):
a pair of players, or a whole run. All lives are forked from it, Alice's and Bob's: they have one
address layout, the template's, which was there before any secret.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import msgpack

from .channel import NAMES, Channel, Deadline
from .codes import KEEPER, ORDER_LENGTH, SURVIVORS

_LEAVE_SECONDS = 8.0

_lock = threading.RLock()
_templates: dict[object, Template] = {}
_holders = 0


class Template:
    """A template that runs, of an interpreter in an environment."""

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                (python, "-P", "-m", __package__ + ".template_process"),
                env=dict(environment),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        self._socket = ours

    @property
    def runs(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def begin(self, order: Mapping[str, Any], fds: tuple[int, int, int]) -> None:
        """Have a keeper forked; see :func:`.keeper.keep` for the order."""
        body = msgpack.packb(order, unicode_errors=NAMES)
        with suppress(OSError):  # then it is gone, and the life's channel is closed
            head = len(body).to_bytes(ORDER_LENGTH, "big")
            socket.send_fds(self._socket, [head], list(fds))
            self._socket.sendall(body)

    def close(self) -> None:
        """Have it end, with all that lives yet."""
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LEAVE_SECONDS)
        self._process.kill()
        self._process.wait()


class Life:
    """One life of a player, from the moment its keeper is ordered.

    Attributes:
        channel: to its host.
    """

    def __init__(self, template: Template, order: Mapping[str, Any]) -> None:
        ours, theirs = (end.detach() for end in socket.socketpair())
        self._report, report = os.pipe()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (closed in the end)
        self._keeper: int | None = None
        self._template = template
        self.channel = Channel(ours)
        try:
            template.begin(order, (theirs, self._words.fileno(), report))
        finally:
            for fd in (theirs, report):
                os.close(fd)

    @property
    def keeper(self) -> int | None:
        """The number of its keeper's process; None if it has none."""
        if self._keeper is None:
            said = self._told(KEEPER)
            self._keeper = int.from_bytes(said, "big") if said else None
        return self._keeper

    def end(self) -> tuple[int, str]:
        """Close the channel and wait until all of it is gone.

        Returns the keeper's exit code, and what the host wrote down as it ended.
        """
        self.channel.close()
        keeper = self.keeper
        said = b"" if keeper is None else self._told(1)
        if keeper is not None and said is None:
            # The template has not waited for it yet, so the number is still its own.
            with suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGKILL)
            self._told(1)
        os.close(self._report)
        with self._words:
            self._words.seek(0)
            words = self._words.read(1 << 16).decode(errors="replace")
        return said[0] if said else SURVIVORS, words

    def _told(self, count: int) -> bytes | None:
        """What the template says of it; empty if it is gone itself, None if it does not in time."""
        poll = select.poll()
        poll.register(self._report, select.POLLIN)
        deadline = Deadline(_LEAVE_SECONDS)
        while left := deadline.slice():
            if poll.poll(1000 * left):
                return os.read(self._report, count)
        return None


@contextmanager
def held() -> Iterator[None]:
    """Keep templates for as long as this lasts, for whoever asks for one."""
    global _holders
    with _lock:
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            idle = [] if _holders else [_templates.pop(key) for key in list(_templates)]
        for template in idle:
            template.close()


def begin(python: str, environment: Mapping[str, str], **order: Any) -> Life:
    """Begin a life; who calls holds (:func:`held`) the template.

    Args:
        python: the interpreter.
        environment: its environment, HOME and TMPDIR aside.
        order: see :func:`.keeper.keep`.
    """
    key = python, tuple(sorted(environment.items()))
    with _lock:
        template = _templates.get(key)
        if template is None or not template.runs:
            if template is not None:
                template.close()
            template = _templates[key] = Template(python, environment)
        return Life(template, order)
