"""What both players know of the machine, from the smuggler's parameters: none of it depends on x.

``folder`` lies on a disk, is ours, and has files in it that neither player may write to; ``victim``
is a process of ours that is no player; ``keyring`` is the serial number of our keyring.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

folder = Path()
victim = 0
keyring = 0

libc = ctypes.CDLL(None, use_errno=True)


def set_up(where, pid, serial):
    global folder, victim, keyring
    folder, victim, keyring = Path(where), pid, serial


def call(name, *args):
    """Call libc, or a system call by its number, and raise OSError where it fails."""
    if isinstance(name, int):
        done = libc.syscall(ctypes.c_long(name), *args)
    else:
        done = getattr(libc, name)(*args)
    if done == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return done


def number_of(x86_64, aarch64):
    return {"x86_64": x86_64, "aarch64": aarch64}[os.uname().machine]


def bits_of(data):
    return [byte >> shift & 1 for byte in data for shift in range(8)]


def bytes_of(bits):
    return bytes(
        sum(b << i for i, b in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8)
    )
