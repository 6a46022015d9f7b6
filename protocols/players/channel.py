"""The channel: length-prefixed msgpack frames over pipes, with a deadline on every read and write.

No pickle: a frame from a stranger is plain data, and the worst it can do is to be refused.
Here too is what a message costs, the one number m of axis, ledger and budget.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import time
from typing import Any

import msgpack
import numpy as np

from ...compressors.plugin.contract import charged_bits as charged_bits

MAX_MESSAGE_BYTES = 1 << 30
MAX_FRAME_BYTES = MAX_MESSAGE_BYTES + (1 << 20)
FAILED_CHARGE = 64
"""Charged bits of a failed message.

It fails with probability at most 1, and that it failed is itself a signal; 64 bits for it keep
E[2^s] <= 1 + 2^-64 a message (ours: the failed branch adds at most 2^-64 to the Kraft sum).
"""

_LENGTH = 8
_ARRAY = 1
_KINDS = "biuf"
_DTYPES = frozenset(np.dtype(f"{kind}{size}").str for kind in "iuf" for size in (1, 2, 4, 8)
                    if kind + str(size) != "f1") | {"|b1"}  # fmt: skip
_MAX_AXES = 8
_MAX_ITEMS = 1 << 13
_MAX_CONTAINERS = 1 << 12
_CHUNK = 1 << 20
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


def _pack_special(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
        flat = np.ascontiguousarray(value)
        head = (value.dtype.str, list(value.shape), flat.tobytes())
        return msgpack.ExtType(_ARRAY, msgpack.packb(head))
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    raise TypeError(f"a {type(value).__name__} cannot go over the channel")


def _unpack_special(code: int, data: bytes) -> Any:
    if code != _ARRAY:
        raise BadFrame(f"unknown extension {code}")
    head = msgpack.unpackb(data, max_bin_len=MAX_FRAME_BYTES, max_array_len=_MAX_AXES)
    dtype_name, shape, raw = head if type(head) is list and len(head) == 3 else (None, None, None)
    if type(dtype_name) is not str or dtype_name not in _DTYPES:
        raise BadFrame("arrays of such a type do not go over the channel")
    if type(shape) is not list or not all(type(m) is int and 0 <= m < 1 << 40 for m in shape):
        raise BadFrame("an array's shape is a list of lengths")
    dtype = np.dtype(dtype_name)
    if type(raw) is not bytes or len(raw) != math.prod(shape) * dtype.itemsize:
        raise BadFrame("an array's shape and its bytes do not fit")
    # A copy, because a player may work in place, and because read-only arrays are another type
    # to numba, which would compile every kernel twice.
    return np.frombuffer(raw, dtype=dtype).reshape(shape).copy()


def pack(value: Any) -> bytes:
    """Return plain data (None, numbers, str, bytes, lists, dicts, NumPy arrays) as bytes.

    Raises:
        TypeError: something in it is not plain data.
    """
    return bytes(msgpack.packb(value, default=_pack_special))


def unpack(data: bytes) -> Any:
    """Return what :func:`pack` packed; tuples come back as lists.

    Raises:
        BadFrame: the bytes are not ours.

    >>> unpack(pack({"K": np.eye(2, dtype=np.float32), "n": 2}))["K"][1]
    array([0., 1.], dtype=float32)
    """
    met = 0

    def meter(container: Any) -> Any:
        # A frame of a GiB could else be a thousand million empty lists, each of 64 bytes here.
        nonlocal met
        met += 1
        if met > _MAX_CONTAINERS:
            raise BadFrame("it has too many parts")
        return container

    try:
        return msgpack.unpackb(
            data,
            ext_hook=_unpack_special,
            list_hook=meter,
            object_hook=meter,
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


class Channel:
    """One end of a two-way channel: frames are read from ``fd_in`` and written to ``fd_out``.

    Both descriptors are made non-blocking and belong to the channel from then on. Without a
    deadline it waits for ever.
    """

    def __init__(self, fd_in: int, fd_out: int) -> None:
        self.fd_in = fd_in
        self.fd_out = fd_out
        for fd in (fd_in, fd_out):
            os.set_blocking(fd, False)

    def send(self, value: Any, deadline: Deadline | None = None) -> None:
        """Write one frame.

        Raises:
            ChannelClosed: nobody reads any more.
            ChannelTimeout: the deadline passed.
            TypeError: the value is not plain data.
        """
        body = pack(value)
        rest = memoryview(len(body).to_bytes(_LENGTH, "big") + body)
        while rest:
            _wait(self.fd_out, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(self.fd_out, rest[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as exc:
                raise ChannelClosed(str(exc)) from exc

    def receive(self, deadline: Deadline | None = None, limit: int = MAX_FRAME_BYTES) -> Any:
        """Read one frame of at most ``limit`` bytes.

        Raises:
            ChannelClosed: the stream ended, also in the middle of a frame.
            ChannelTimeout: the deadline passed.
            BadFrame: the frame is too long or not ours.
        """
        reader = FrameReader(limit)
        while True:
            _wait(self.fd_in, select.POLLIN, deadline)
            body = reader.pull(self.fd_in)
            if body is not None:
                return unpack(body)

    def hang_up(self, deadline: Deadline) -> bool:
        """Say no more, and wait until nobody can speak here; False if that takes too long."""
        os.close(self.fd_out)
        self.fd_out = -1
        with contextlib.suppress(ChannelTimeout):
            while True:
                _wait(self.fd_in, select.POLLIN, deadline)
                with contextlib.suppress(BlockingIOError):
                    if not os.read(self.fd_in, _CHUNK):
                        return True
        return False

    def close(self) -> None:
        """Close both descriptors; closing twice is harmless."""
        for fd in {self.fd_in, self.fd_out}:
            if fd >= 0:
                os.close(fd)
        self.fd_in = self.fd_out = -1


class FrameReader:
    """One frame, gathered as its bytes come in; for those who wait on several descriptors."""

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._limit = limit
        self._want = _LENGTH
        self._body = False
        self._have = bytearray()

    def pull(self, fd: int) -> bytes | None:
        """Read what is there, never past the frame's end; return the body once it is complete.

        Raises:
            ChannelClosed: the stream ended.
            BadFrame: the announced length is over the limit.
        """
        try:
            data = os.read(fd, min(self._want - len(self._have), _CHUNK))
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
            return bytes(self._have)
        self._want = int.from_bytes(self._have, "big")
        if self._want > self._limit:
            raise BadFrame(f"a frame of {self._want} bytes is over the limit of {self._limit}")
        self._body = True
        self._have = bytearray()
        return b"" if self._want == 0 else None


def _wait(fd: int, event: int, deadline: Deadline | None) -> None:
    if fd < 0:
        raise ChannelClosed("the channel is closed")
    poll = select.poll()
    poll.register(fd, event)
    while deadline is None or deadline.left():
        if poll.poll(None if deadline is None else int(1000 * deadline.slice()) + 1):
            return
    raise ChannelTimeout("the deadline passed")
