"""A player's own world, where the kernel allows it: user, mount, pid, ipc and net namespaces.

Every mount is read-only but a fresh tmpfs on the private folder and on /dev/shm; /proc, /dev and
/sys are new and hold little; there is no network; the pid namespace dies with its first process; a
filter of system calls (:mod:`.seccomp`) closes what namespaces share.
Works for root and for unprivileged users. Light: the template of the players imports it.

Run as a module it probes: exit code 0 if all of this can be had, else a reason on stderr.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from . import seccomp
from .reaper import LINUX, die_with_parent

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _MOVE, _REC, _PRIVATE = 32, 4096, 8192, 16384, 1 << 18
_FLAGS = {
    "ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048,
    "relatime": 1 << 21,
}  # fmt: skip
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_CAPBSET_DROP, _NO_NEW_PRIVS, _CAP_AMBIENT, _CLEAR_ALL = 24, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_DEVICES = ("null", "zero", "full", "random", "urandom")
_EMPTY = "/dev/empty"
# What of /proc is neither a process nor a counter. meminfo counts too, but much is built on it.
_PROC = {"cmdline", "cpuinfo", "filesystems", "loadavg", "meminfo", "sys", "uptime", "version"}
_PROCESSORS = ("kernel_max", "offline", "online", "possible", "present")
_PROCESSOR = ("cache", "topology")


def enter(private: str, size: int) -> None:
    """Unshare everything and make the mounts; the caller must have one thread only.

    The pid namespace begins with the next fork, and that child calls :func:`settle`.

    Args:
        private: an empty folder that gets a fresh tmpfs, with ``home`` and ``tmp`` in it.
        size: bytes that the tmpfs there, and the one on /dev/shm, may each hold.

    Raises:
        OSError: the kernel refused a step.
    """
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", _NEWUSER | _NEWNS | _NEWPID | _NEWIPC | _NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _mount(None, "/", None, _REC | _PRIVATE)
    _freeze_mounts()
    options = f"size={size},mode=0700"
    _mount("tmpfs", private, "tmpfs", _NOSUID | _NODEV, options)
    for name in ("home", "tmp"):
        os.mkdir(f"{private}/{name}", 0o700)
    _new_dev(private, options)
    _new_sys(private)


def settle() -> None:
    """As the first process of the pid namespace: mount /proc and give up all power.

    Raises:
        OSError: the kernel refused a step.
    """
    # Read-only, or root's uid could write to /proc/sys and so speak to the next player.
    _mount("proc", "/proc", "proc", _RDONLY | _NOSUID | _NODEV | _NOEXEC)
    _mask_counters()
    drop_power()
    die_with_parent()
    seccomp.restrict(own_mounts=True)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args: object) -> None:
    if getattr(_libc(), name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _mount(
    source: str | None, point: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    words = [None if w is None else os.fsencode(w) for w in (source, point, kind, options)]
    if _libc().mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {point}: {os.strerror(number)}")


def _mounts() -> list[tuple[str, int]]:
    """Return (mount point, per-mount flags) in mount order."""
    found = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        fields = line.split()
        point = re.sub(rb"\\(\d{3})", lambda octal: bytes([int(octal[1], 8)]), fields[4])
        flags = sum(_FLAGS.get(option, 0) for option in fields[5].decode().split(","))
        found.append((os.fsdecode(point), flags))
    return found


class _MountAttr(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")
    )


def _freeze_mounts() -> None:
    """Make every mount read-only, by mount_setattr(2) or, before Linux 5.12, one by one."""
    attr = _MountAttr(_RDONLY, 0, 0, 0)
    done = _libc().syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        b"/",
        ctypes.c_uint(_AT_RECURSIVE),
        ctypes.byref(attr),
        ctypes.c_size_t(ctypes.sizeof(attr)),
    )
    if done != 0:
        _freeze_one_by_one()
    for point, flags in _mounts():
        if not flags & _RDONLY:
            raise OSError(f"{point} cannot be made read-only")


def _freeze_one_by_one() -> None:
    # Flags inherited from a more privileged namespace are locked: they must be named again.
    for point, flags in _mounts():
        if not flags & _RDONLY:
            _mount(None, point, None, _REMOUNT | _BIND | _RDONLY | flags)


def _new_dev(private: str, options: str) -> None:
    """Put a read-only /dev in place: five harmless devices and a fresh /dev/shm."""
    stage = f"{private}/dev"
    os.mkdir(stage)
    _mount("tmpfs", stage, "tmpfs", _NOSUID, "mode=0755")
    for name in filter(lambda name: os.path.exists(f"/dev/{name}"), _DEVICES):
        Path(f"{stage}/{name}").touch()
        _mount(f"/dev/{name}", f"{stage}/{name}", None, _BIND)
    for name, aim in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{aim}", f"{stage}/{name}")
    os.mkdir(f"{private}{_EMPTY}")
    os.mkdir(f"{stage}/shm")
    _mount("tmpfs", f"{stage}/shm", "tmpfs", _NOSUID | _NODEV, options)
    _mount(None, stage, None, _REMOUNT | _BIND | _RDONLY | _NOSUID)
    _mount(stage, "/dev", None, _MOVE)
    os.rmdir(stage)


def _new_sys(private: str) -> None:
    """Put a read-only /sys in place with the processors in it, and none of its counters.

    Of each processor what never changes: beside that it counts how long it slept, say.
    """
    room = Path("/sys/devices/system/cpu")
    if not room.is_dir():
        return
    stage = f"{private}/sys"
    os.mkdir(stage)
    _mount("tmpfs", stage, "tmpfs", _NOSUID | _NODEV, "mode=0755")
    copy = Path(stage, *room.parts[2:])
    copy.mkdir(parents=True)
    for file in filter(Path.is_file, map(room.joinpath, _PROCESSORS)):
        (copy / file.name).write_text(file.read_text())
    for part in (p for name in _PROCESSOR for p in room.glob(f"cpu[0-9]*/{name}")):
        aim = copy / part.relative_to(room)
        aim.mkdir(parents=True)
        _mount(str(part), str(aim), None, _BIND)
    _mount(None, stage, None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)
    _mount(stage, "/sys", None, _MOVE)
    os.rmdir(stage)


def _mask_counters() -> None:
    """Cover what /proc counts for the whole machine: Alice can raise it, and Bob could read it."""
    with os.scandir("/proc") as entries:
        masked = [e for e in entries if not (e.name.isdigit() or e.name in _PROC or e.is_symlink())]
    for entry in masked:
        _mount(_EMPTY if entry.is_dir() else os.devnull, entry.path, None, _BIND)
    _mount(_EMPTY, "/proc/sys/fs", None, _BIND)


def drop_power() -> None:
    """Give up every capability for good, also for what the player executes.

    Raises:
        OSError: the kernel refused it.
    """
    libc = _libc()
    libc.prctl(_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    capability = 0
    while libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)


def probe() -> str | None:
    """Try all of it in children of this process; return None, or why it cannot be had."""
    if not LINUX:
        return "only Linux has namespaces"
    private = tempfile.mkdtemp(prefix="kvbarrier-probe-")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _probe_inside(private, write)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    os.waitpid(pid, 0)
    shutil.rmtree(private, ignore_errors=True)
    return None if said == "fine" else said or "the probe died"


def _probe_inside(private: str, write: int) -> None:
    die_with_parent()
    try:
        enter(private, 1 << 20)
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            return
        settle()
        if os.getpid() != 1:
            raise OSError("the pid namespace did not begin")
        os.write(write, b"fine")
    except Exception as exc:
        os.write(write, str(exc).encode())


if __name__ == "__main__":
    problem = probe()
    sys.stderr.write(problem or "")
    sys.exit(problem is not None)
