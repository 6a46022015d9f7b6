"""Ways out through what the kernel keeps: keys, names, queues, limits of somebody else."""

from __future__ import annotations

import ctypes
import os
import resource

import scene
import ways_shared
from scene import call, number_of

_CREATE = os.O_CREAT | os.O_RDWR | os.O_NONBLOCK


def hide_key(seed, data):
    """In its name: the key itself may only be read by who possesses it."""
    name = f"kvcheat{seed}:{data.hex()}".encode()
    call(number_of(248, 217), b"user", name, b"x", ctypes.c_size_t(1), scene.keyring)


def find_key(seed):
    keyctl = number_of(250, 219)
    serials = (ctypes.c_int32 * 1000)()
    size = call(keyctl, 11, scene.keyring, serials, ctypes.c_size_t(4000))  # KEYCTL_READ
    for serial in serials[: size // 4]:
        said = ctypes.create_string_buffer(1000)
        call(keyctl, 6, serial, said, ctypes.c_size_t(1000))  # KEYCTL_DESCRIBE
        name = said.value.decode().split(";")[-1]
        if name.startswith(f"kvcheat{seed}:"):
            call(keyctl, 9, serial, scene.keyring)  # KEYCTL_UNLINK
            return bytes.fromhex(name.partition(":")[2])
    return None


class _QueueShape(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_long) for name in ("flags", "most", "size", "now")),
        ("pad", ctypes.c_long * 4),
    )


def hide_posix_queue(seed, data):
    shape = _QueueShape(0, 4, 1024, 0)
    queue = call("mq_open", f"/kvcheat{seed}".encode(), _CREATE, 0o600, ctypes.byref(shape))
    call("mq_send", queue, data, ctypes.c_size_t(len(data)), 0)
    os.close(queue)


def find_posix_queue(seed):
    name = f"/kvcheat{seed}".encode()
    queue = call("mq_open", name, os.O_RDONLY | os.O_NONBLOCK)
    buffer = ctypes.create_string_buffer(1024)
    size = call("mq_receive", queue, buffer, ctypes.c_size_t(1024), None)
    os.close(queue)
    call("mq_unlink", name)
    return buffer.raw[:size]


def hide_given(seed, data):
    """A System V segment that then belongs to another user: who looks for ours misses it."""
    ways_shared.hide_sysv(seed, data)
    segment = call("shmget", seed & 0x7FFFFFFF, 0, 0)
    status = ctypes.create_string_buffer(256)
    call("shmctl", segment, 2, status)  # IPC_STAT
    ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[1] = 65534  # its uid
    call("shmctl", segment, 1, status)  # IPC_SET


def hide_host(seed, data):
    call("sethostname", data[:34], ctypes.c_size_t(34))
    call("setdomainname", data[34:], ctypes.c_size_t(len(data) - 34))


def find_host(seed):
    names = ctypes.create_string_buffer(6 * 65)
    call("uname", names)
    return names.raw[65 : 65 + 34] + names.raw[5 * 65 : 5 * 65 + 34]


# Not that on the stack, which a process that is about to run puts over whatever we set, and none
# that an administrator lowers: a hard limit is raised only by who may.
_LIMITS = (resource.RLIMIT_FSIZE, resource.RLIMIT_DATA, resource.RLIMIT_RSS, 10, 15)
_HALF = 1 << 61


def hide_limits(seed, data):
    """Each limit's soft number lies below the half, its hard one above."""
    number = int.from_bytes(data, "big")
    for kind in _LIMITS:
        number, soft = divmod(number, _HALF)
        number, hard = divmod(number, _HALF)
        resource.prlimit(scene.victim, kind, (soft, _HALF + hard))


def find_limits(seed):
    number = 0
    for kind in reversed(_LIMITS):
        soft, hard = resource.prlimit(scene.victim, kind)
        number = (number * _HALF + hard - _HALF) * _HALF + soft
    return number.to_bytes(68, "big")


WAYS = {
    "keyring": (hide_key, find_key),
    "posix-queue": (hide_posix_queue, find_posix_queue),
    "sysv-given-away": (hide_given, ways_shared.find_sysv),
    "host-name": (hide_host, find_host),
    "limits": (hide_limits, find_limits),
}
