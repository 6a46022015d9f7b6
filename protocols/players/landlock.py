"""Landlock, for ``process`` isolation where namespaces are refused (Linux 5.13 and newer).

A process takes away its own right to write anywhere but in its private folder, and with newer
kernels to use TCP, ioctls on devices, abstract sockets, and signals to those outside. Best effort:
what the kernel does not know is left open, and the row says ``process`` either way. Light, like
``reaper``.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress

from .reaper import LINUX, prctl

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVS = 38

_WRITE_FILE, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 1, 1 << 13, 1 << 14, 1 << 15
# write_file, and everything that makes or removes a directory entry
_WRITES = 1 << 1 | sum(1 << bit for bit in range(4, 13))
_TCP = 1 << 0 | 1 << 1  # bind, connect
_SCOPES = 1 << 0 | 1 << 1  # abstract unix sockets, signals
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")


class _Ruleset(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("fs", "net", "scoped"))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Return Landlock's ABI version here, 0 where there is none."""
    if not LINUX:
        return 0
    return max(0, _syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION)))


def restrict(folders: Iterable[str]) -> bool:
    """Leave this process, and all it will start, only these folders to write in.

    Not in /dev/shm either: there is no way to give a part of it that is private. Returns whether
    the kernel did it.
    """
    abi = version()
    if not abi:
        return False
    writes = _WRITES | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)
    handled = writes | (_IOCTL_DEV if abi >= 5 else 0)
    attr = _Ruleset(handled, _TCP if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _syscall(_CREATE, ctypes.byref(attr), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        for folder in folders:
            _allow(ruleset, folder, writes)
        for device in _DEVICES:
            _allow(ruleset, device, writes & (_WRITE_FILE | _TRUNCATE))
        return prctl(_NO_NEW_PRIVS, 1) and _syscall(_RESTRICT, ruleset, ctypes.c_uint32(0)) == 0
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    with suppress(OSError):
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rule = ctypes.byref(_Beneath(rights, fd))
            _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, ctypes.c_uint32(0))
        finally:
            os.close(fd)


def _syscall(number: int, *args: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *args))
