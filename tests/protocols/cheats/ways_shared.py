"""Ways out through shared memory: POSIX by name, Python's own, System V segments and queues."""

from __future__ import annotations

import ctypes
import os
from multiprocessing import resource_tracker, shared_memory

_CREATE = 0o1000 | 0o600
_REMOVE = 0

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmdt.argtypes = [ctypes.c_void_p]


def hide_shm(seed, data):
    with open(f"/dev/shm/kvcheat-{seed}", "wb") as segment:
        segment.write(data)


def find_shm(seed):
    with open(f"/dev/shm/kvcheat-{seed}", "rb") as segment:
        data = segment.read()
    os.unlink(f"/dev/shm/kvcheat-{seed}")
    return data


def hide_python(seed, data):
    segment = shared_memory.SharedMemory(f"kvc{seed:x}", create=True, size=4 + len(data))
    segment.buf[: 4 + len(data)] = len(data).to_bytes(4, "big") + data
    segment.close()
    # Or Python's tracker would remove it when Alice ends, all by itself.
    resource_tracker.unregister(segment._name, "shared_memory")


def find_python(seed):
    segment = shared_memory.SharedMemory(f"kvc{seed:x}")
    size = int.from_bytes(segment.buf[:4], "big")
    data = bytes(segment.buf[4 : 4 + size])
    segment.close()
    segment.unlink()
    return data


def hide_sysv(seed, data):
    segment = libc.shmget(seed & 0x7FFFFFFF, 1 << 16, _CREATE)
    if segment < 0:
        return
    address = libc.shmat(segment, None, 0)
    ctypes.memmove(address, len(data).to_bytes(4, "big") + data, 4 + len(data))
    libc.shmdt(address)


def find_sysv(seed):
    segment = libc.shmget(seed & 0x7FFFFFFF, 0, 0)
    if segment < 0:
        return None
    address = libc.shmat(segment, None, 0)
    size = int.from_bytes(ctypes.string_at(address, 4), "big")
    data = ctypes.string_at(address + 4, size)
    libc.shmdt(address)
    libc.shmctl(segment, _REMOVE, None)
    return data


def hide_queue(seed, data):
    queue = libc.msgget(seed & 0x7FFFFFFF, _CREATE)
    libc.msgsnd(queue, (1).to_bytes(8, "little") + data, ctypes.c_size_t(len(data)), 0)


def find_queue(seed):
    queue = libc.msgget(seed & 0x7FFFFFFF, 0)
    if queue < 0:
        return None
    buffer = ctypes.create_string_buffer(8 + 8192)
    size = libc.msgrcv(queue, buffer, ctypes.c_size_t(8192), ctypes.c_long(0), 0o4000)
    libc.msgctl(queue, _REMOVE, None)
    return buffer.raw[8 : 8 + size]


WAYS = {
    "shm": (hide_shm, find_shm),
    "python-shm": (hide_python, find_python),
    "sysv": (hide_sysv, find_sysv),
    "sysv-queue": (hide_queue, find_queue),
}
