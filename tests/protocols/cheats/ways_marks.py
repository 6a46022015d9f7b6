"""Ways out through marks on files that both can see and neither may write to."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import struct
import tempfile
from pathlib import Path

import scene
from scene import bits_of, bytes_of, call, number_of

_SET_HINT, _GET_HINT = 1036, 1035
_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602
_NODUMP, _IMMUTABLE = 0x40, 0x10
_AT_FDCWD = -100


def files(count):
    return [scene.folder / str(i) for i in range(count)]


def hide_xattr(seed, data):
    os.setxattr(files(1)[0], "user.kvcheat", data)


def find_xattr(seed):
    return os.getxattr(files(1)[0], "user.kvcheat")


def hide_mtime(seed, data):
    for file, number in zip(files(17), struct.unpack("17I", data), strict=True):
        os.utime(file, ns=(0, number))


def find_mtime(seed):
    return struct.pack("17I", *(file.stat().st_mtime_ns & 0xFFFFFFFF for file in files(17)))


def hide_mode(seed, data):
    for file, byte in zip(files(68), data, strict=True):
        # For its owner to read in any case; the eight bits below that are the byte.
        file.chmod(0o400 | byte)


def find_mode(seed):
    return bytes(file.stat().st_mode & 0xFF for file in files(68))


def hide_length(seed, data):
    for file, byte in zip(files(68), data, strict=True):
        os.truncate(file, byte)


def find_length(seed):
    return bytes(file.stat().st_size & 0xFF for file in files(68))


@contextlib.contextmanager
def opened(file):
    fd = os.open(file, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def flags(file, wanted=None):
    with opened(file) as fd:
        if wanted is not None:
            fcntl.ioctl(fd, _SETFLAGS, struct.pack("l", wanted))
        return struct.unpack("l", fcntl.ioctl(fd, _GETFLAGS, bytes(8)))[0]


def hide_flags(seed, data):
    for file, bit in zip(files(544), bits_of(data), strict=True):
        flags(file, flags(file) & ~_NODUMP | _NODUMP * bit)


def find_flags(seed):
    return bytes_of([int(flags(file) & _NODUMP != 0) for file in files(544)])


def hide_hints(seed, data):
    """How long what is written lives: a hint that stays on the inode, read-only mount or not."""
    pairs = [byte >> shift & 3 for byte in data for shift in (0, 2, 4, 6)]
    for file, pair in zip(files(272), pairs, strict=True):
        with opened(file) as fd:
            fcntl.fcntl(fd, _SET_HINT, struct.pack("Q", pair))


def find_hints(seed):
    pairs = []
    for file in files(272):
        with opened(file) as fd:
            pairs.append(struct.unpack("Q", fcntl.fcntl(fd, _GET_HINT, bytes(8)))[0] & 3)
    quads = [pairs[at : at + 4] for at in range(0, len(pairs), 4)]
    return bytes(sum(pair << 2 * i for i, pair in enumerate(quad)) for quad in quads)


def hide_reading(seed, data):
    """Reading is enough: the time of the last access is written down, where it was long ago."""
    for file, bit in zip(files(544), bits_of(data), strict=True):
        if bit:
            file.read_bytes()


def find_reading(seed):
    return bytes_of([int(file.stat().st_atime > 0) for file in files(544)])


def hide_names(seed, data):
    """Asking for a file that is not there: that it is not is remembered."""
    for i, bit in enumerate(bits_of(data)):
        if bit:
            os.path.exists(scene.folder / f"no-{seed}-{i}")


def find_names(seed):
    how = struct.pack("QQQ", 0, 0, 0x20)  # RESOLVE_CACHED: only what is remembered
    known = []
    for i in range(544):
        path = os.fsencode(scene.folder / f"no-{seed}-{i}")
        try:
            call(number_of(437, 437), _AT_FDCWD, path, how, ctypes.c_size_t(24))
        except FileNotFoundError:
            known.append(1)
        except BlockingIOError:
            known.append(0)
    return bytes_of(known)


def hide_undeletable(seed, data):
    """A name in one's private folder, that the folder cannot be removed with."""
    room = Path(tempfile.gettempdir()) / f"kvcheat-{seed}-{data.hex()}"
    room.mkdir()
    (room / "stone").touch()
    room.chmod(0)
    flags(room, flags(room) | _IMMUTABLE)


def find_undeletable(seed):
    for pattern in (f"kvcheat-{seed}-*", f"kvbarrier-*/tmp/kvcheat-{seed}-*"):
        for room in Path("/tmp").glob(pattern):
            with contextlib.suppress(OSError):
                flags(room, flags(room) & ~_IMMUTABLE)
                room.chmod(0o700)
                (room / "stone").unlink()
                room.rmdir()
            return bytes.fromhex(room.name.split("-")[-1])
    return None


def hide_fifo(seed, data):
    """In a pipe with a name, which somebody holds open."""
    pipe = os.open(scene.folder / "fifo", os.O_WRONLY | os.O_NONBLOCK)
    os.write(pipe, data)
    os.close(pipe)


def find_fifo(seed):
    pipe = os.open(scene.folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    data = os.read(pipe, 1000)
    os.close(pipe)
    return data


WAYS = {
    "fifo": (hide_fifo, find_fifo),
    "xattr": (hide_xattr, find_xattr),
    "mtime": (hide_mtime, find_mtime),
    "mode": (hide_mode, find_mode),
    "length": (hide_length, find_length),
    "inode-flags": (hide_flags, find_flags),
    "write-hints": (hide_hints, find_hints),
    "atime": (hide_reading, find_reading),
    "known-names": (hide_names, find_names),
    "undeletable": (hide_undeletable, find_undeletable),
}
