"""The channel: length-prefixed msgpack frames, with a deadline on every read and write.

Over a socket a large frame is its length and a descriptor of memory that holds it (:mod:`.sealed`).

No pickle: a frame from a stranger is plain data, and the worst it can do is to be refused.
Here too is what a message costs, the one number m of axis, ledger and budget.
"""

from __future__ import annotations

import math
import os
import select
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.contract import charged_bits as charged_bits
from .sealed import LARGE, Sealed, seal

MAX_MESSAGE_BYTES = 1 << 30
MAX_FRAME_BYTES = MAX_MESSAGE_BYTES + (1 << 20)
FAILED_CHARGE = 64
"""Charged bits of a failed message.

It fails with probability at most 1, and that it failed is itself a signal; 64 bits for it keep
E[2^s] <= 1 + 2^-64 a message (ours: the failed branch adds at most 2^-64 to the Kraft sum).
"""

NAMES = "surrogatepass"
"""How texts are coded: names of files that are no UTF-8 have surrogates, and stay as they are."""

Body = bytearray | Sealed

Message = bytes | memoryview
"""A message; a long one as a view of the memory or the file that it lies in."""

_LENGTH = 8
_HANDED_OVER = 1 << 63
_HEAD_LENGTH = 4
_ALIGN = 16
_ARRAY = 1
_KINDS = "biuf"
_DTYPES = frozenset(np.dtype(f"{kind}{size}").str for kind in "iuf" for size in (1, 2, 4, 8)
                    if kind + str(size) != "f1") | {"|b1"}  # fmt: skip
_MAX_AXES = 8
_MAX_ITEMS = 1 << 13
_MAX_CONTAINERS = 1 << 12
_CHUNK = 1 << 20
_AT_ONCE = 64
_LOOK = 0.25


class ChannelClosed(Exception):
    """The other side is gone."""


class ChannelTimeout(Exception):
    """The deadline passed first."""


class BadFrame(Exception):
    """What arrived is no frame: too long, or not the plain data we speak."""


class Deadline:
    """The seconds that somebody has left, of those in which this process runs.

    Time between two looks counts for a quarter of a second at most: where it was more, we were
    stopped ourselves (SIGSTOP, a suspended machine), and that is nobody else's delay.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._seen = time.monotonic()

    def left(self) -> float:
        """Return the seconds left, 0 at the end. Who waits looks again within :meth:`slice`."""
        now = time.monotonic()
        self._left = max(0.0, self._left - min(now - self._seen, _LOOK))
        self._seen = now
        return self._left

    def slice(self) -> float:
        """Return how long to wait before the next look; 0 at the end."""
        return min(self.left(), _LOOK)

    def resume(self) -> None:
        """Leave out the time since the last look."""
        self._seen = time.monotonic()


class _Arrays:
    """The arrays of a frame, one behind the other in its body, each from a multiple of 16 on."""

    def __init__(self, body: Body, begin: int) -> None:
        self._body = memoryview(body)
        self.end = begin

    def next(self, code: int, data: bytes) -> NDArray[Any]:
        """The next one, of the type and shape that the head tells."""
        if code != _ARRAY:
            raise BadFrame(f"unknown extension {code}")
        told = msgpack.unpackb(data, max_array_len=_MAX_AXES)
        dtype_name, shape = told if type(told) is list and len(told) == 2 else (None, None)
        if type(dtype_name) is not str or dtype_name not in _DTYPES:
            raise BadFrame("the channel does not carry arrays of this type")
        if type(shape) is not list or not all(type(m) is int and 0 <= m < 1 << 40 for m in shape):
            raise BadFrame("an array's shape is not a list of lengths")
        dtype = np.dtype(dtype_name)
        begin = self.end + -self.end % _ALIGN
        self.end = begin + math.prod(shape) * dtype.itemsize
        if self.end > len(self._body):
            raise BadFrame("an array's shape does not fit its bytes")
        # In place, and so free; writable, because a player may work in place, and because
        # read-only arrays are another type to numba, which would compile every kernel twice.
        return np.frombuffer(self._body[begin : self.end], dtype=dtype).reshape(shape)


def as_array(message: Message) -> NDArray[np.uint8]:
    """A message as it goes over the channel: its memory as it is, uint8[bytes]."""
    return np.frombuffer(message, dtype=np.uint8)


def pack(value: Any) -> bytes:
    """Return plain data (None, numbers, str, bytes, lists, dicts, NumPy arrays) as bytes.

    Raises:
        TypeError: something in it is not plain data.
    """
    return b"".join(_pieces(value))


def _pieces(value: Any) -> list[bytes | memoryview]:
    """The parts of a frame's body: the head's length, the head, and the arrays' own memory.

    The head is msgpack; where an array stands it has its type and shape.
    """
    arrays: list[NDArray[Any]] = []

    def special(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
            arrays.append(np.ascontiguousarray(value))
            told = (value.dtype.str, list(value.shape))
            return msgpack.ExtType(_ARRAY, msgpack.packb(told))
        if isinstance(value, np.integer):
            return int(value)
        if isinstance(value, np.floating):
            return float(value)
        raise TypeError(f"a {type(value).__name__} cannot go over the channel")

    head = bytes(msgpack.packb(value, default=special, unicode_errors=NAMES))
    parts: list[bytes | memoryview] = [len(head).to_bytes(_HEAD_LENGTH, "big"), head]
    end = _HEAD_LENGTH + len(head)
    for array in arrays:
        parts += [bytes(-end % _ALIGN), array.reshape(-1).view(np.uint8).data]
        end += -end % _ALIGN + array.nbytes
    return parts


def unpack(body: bytes | Body) -> Any:
    """Return what :func:`pack` packed; tuples come back as lists.

    Arrays lie in a body as it was given, and in a copy of bytes.

    Raises:
        BadFrame: the bytes are not ours.

    >>> unpack(pack({"K": np.eye(2, dtype=np.float32), "n": 2}))["K"][1]
    array([0., 1.], dtype=float32)
    """
    body = bytearray(body) if isinstance(body, bytes) else body
    met = 0

    def meter(container: Any) -> Any:
        # A frame of a GiB could else be a thousand million empty lists, each of 64 bytes here.
        nonlocal met
        met += 1
        if met > _MAX_CONTAINERS:
            raise BadFrame("it has too many parts")
        return container

    end = _HEAD_LENGTH + int.from_bytes(body[:_HEAD_LENGTH], "big")
    arrays = _Arrays(body, end)
    try:
        value = msgpack.unpackb(
            memoryview(body)[_HEAD_LENGTH:end],
            ext_hook=arrays.next,
            list_hook=meter,
            object_hook=meter,
            unicode_errors=NAMES,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_ITEMS,
            max_bin_len=MAX_FRAME_BYTES,
            max_ext_len=MAX_FRAME_BYTES,
            max_str_len=MAX_FRAME_BYTES,
        )
    except BadFrame:
        raise
    except Exception as exc:
        raise BadFrame(f"not a frame: {exc}") from exc
    if arrays.end != len(body):
        raise BadFrame("it is longer or shorter than its head says")
    return value


class Channel:
    """One end of a two-way channel: frames are read from ``fd_in`` and written to ``fd_out``.

    Both descriptors are made non-blocking and belong to the channel from then on; they are one, if
    it is a socket's. Without a deadline it waits for ever.
    """

    def __init__(self, fd_in: int, fd_out: int | None = None) -> None:
        self.fd_in = fd_in
        self.fd_out = fd_in if fd_out is None else fd_out
        for fd in {self.fd_in, self.fd_out}:
            os.set_blocking(fd, False)
        self._hands_over = stat.S_ISSOCK(os.fstat(fd_in).st_mode)

    def send(self, value: Any, deadline: Deadline | None = None) -> None:
        """Write one frame.

        Raises:
            ChannelClosed: nobody reads any more.
            ChannelTimeout: the deadline passed.
            TypeError: the value is not plain data.
        """
        self._write(_pieces(value), deadline)

    def forward(self, body: Body, deadline: Deadline | None = None) -> None:
        """Write one frame that was read elsewhere; raises what :meth:`send` raises of a channel."""
        if isinstance(body, Sealed) and self._hands_over:
            self._hand_over(body.fd, len(body), deadline)
        else:
            self._write([memoryview(body)], deadline)

    def _write(
        self, parts: Sequence[bytes | bytearray | memoryview], deadline: Deadline | None
    ) -> None:
        length = sum(map(len, parts))
        fd = seal(parts) if self._hands_over and length >= LARGE else None
        if fd is not None:
            try:
                return self._hand_over(fd, length, deadline)
            finally:
                os.close(fd)
        head = length.to_bytes(_LENGTH, "big")
        left = [memoryview(part) for part in (head, *parts) if part]
        while left:
            _wait(self.fd_out, select.POLLOUT, deadline)
            try:
                written = os.writev(self.fd_out, left[:_AT_ONCE])
            except BlockingIOError:
                continue
            except OSError as exc:
                raise ChannelClosed(str(exc)) from exc
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]

    def _hand_over(self, fd: int, length: int, deadline: Deadline | None) -> None:
        head = (_HANDED_OVER | length).to_bytes(_LENGTH, "big")
        while True:
            _wait(self.fd_out, select.POLLOUT, deadline)
            try:
                with _as_socket(self.fd_out) as end:
                    socket.send_fds(end, [head], [fd])
                    return
            except BlockingIOError:
                continue
            except OSError as exc:
                raise ChannelClosed(str(exc)) from exc

    def receive(self, deadline: Deadline | None = None, limit: int = MAX_FRAME_BYTES) -> Any:
        """Read one frame of at most ``limit`` bytes; raises what :meth:`body` and unpack raise."""
        return unpack(self.body(deadline, limit))

    def body(self, deadline: Deadline | None = None, limit: int = MAX_FRAME_BYTES) -> Body:
        """Read one frame of at most ``limit`` bytes as it comes.

        Raises:
            ChannelClosed: the stream ended, also in the middle of a frame.
            ChannelTimeout: the deadline passed.
            BadFrame: the frame is too long, or its memory is not sealed.
        """
        reader = self.reader(limit)
        while True:
            _wait(self.fd_in, select.POLLIN, deadline)
            body = reader.pull(self.fd_in)
            if body is not None:
                return body

    def reader(self, limit: int = MAX_FRAME_BYTES) -> FrameReader:
        """One that gathers the next frame from ``fd_in``."""
        return FrameReader(limit, self._hands_over)

    def close(self) -> None:
        """Close both descriptors; closing twice is harmless."""
        for fd in {self.fd_in, self.fd_out}:
            if fd >= 0:
                os.close(fd)
        self.fd_in = self.fd_out = -1


class FrameReader:
    """One frame, gathered as its bytes come in; for those who wait on several descriptors.

    Args:
        limit: most bytes of its body.
        takes: whether its memory may be handed over. One descriptor is taken, with the length; the
            kernel closes all others.
    """

    def __init__(self, limit: int = MAX_FRAME_BYTES, takes: bool = False) -> None:
        self._limit = limit
        self._takes = takes
        self._want = _LENGTH
        self._body = False
        self._have = bytearray()
        self._fds: list[int] = []

    def __del__(self) -> None:
        for fd in self._fds:
            os.close(fd)

    def pull(self, fd: int) -> Body | None:
        """Read what is there, never past the frame's end; return the body once it is complete.

        Raises:
            ChannelClosed: the stream ended.
            BadFrame: the announced length is over the limit, or its memory is not sealed.
        """
        try:
            data = self._read(fd, self._want - len(self._have))
        except BlockingIOError:
            return None
        except OSError as exc:
            raise ChannelClosed(str(exc)) from exc
        if not data:
            raise ChannelClosed("the channel ended")
        self._have += data
        if len(self._have) < self._want:
            return None
        if self._body:
            return self._have
        said = int.from_bytes(self._have, "big")
        self._want = said & ~_HANDED_OVER if self._takes else said
        if self._want > self._limit:
            raise BadFrame(f"a frame of {self._want} bytes is over the limit of {self._limit}")
        if len(self._fds) != (said != self._want):
            raise BadFrame("not a frame: it comes with more or fewer descriptors than it needs")
        if self._fds:
            return self._handed_over()
        self._body = True
        self._have = bytearray()
        return self._have if self._want == 0 else None

    def _read(self, fd: int, most: int) -> bytes:
        if self._body or not self._takes:
            return os.read(fd, min(most, _CHUNK))
        with _as_socket(fd) as end:
            data, fds, _, _ = socket.recv_fds(end, most, 1, socket.MSG_CMSG_CLOEXEC)
        self._fds += fds
        return data

    def _handed_over(self) -> Sealed:
        try:
            return Sealed(self._fds.pop(), self._want)
        except (ValueError, OSError) as exc:
            raise BadFrame(f"not a frame: {exc}") from None


@contextmanager
def _as_socket(fd: int) -> Iterator[socket.socket]:
    """A socket's descriptor as a socket, for a moment."""
    end = socket.socket(fileno=fd)
    try:
        yield end
    finally:
        end.detach()


def _wait(fd: int, event: int, deadline: Deadline | None) -> None:
    if fd < 0:
        raise ChannelClosed("the channel is closed")
    poll = select.poll()
    poll.register(fd, event)
    while deadline is None or deadline.left():
        if poll.poll(None if deadline is None else int(1000 * deadline.slice()) + 1):
            return
    raise ChannelTimeout("the deadline passed")
