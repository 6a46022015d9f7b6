"""What a player left behind: its private folder; shared memory, where no namespace does it for us.

A segment may belong to somebody else who happens to work at the same time, so only such are
removed as are new since the player started, ours by creator (an owner can be changed), and held by
no living process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import stat
from collections.abc import Iterator

_FOLDERS = ("/dev/shm", "/dev/mqueue")
_IPC_RMID = 0
# For each kind: the columns of the creator, and of who is attached, in /proc/sysvipc.
_SYSV = {
    "shm": ("shmid", "cpid", "nattch"),
    "msg": ("msqid", "lspid", ""),
    "sem": ("semid", "", ""),
}

Snapshot = frozenset[tuple[str, str, int]]


def snapshot() -> Snapshot:
    """Return what shared memory, message queues and semaphores of ours there are now."""
    return frozenset(_posix()) | frozenset(_sysv())


def sweep(before: Snapshot, *, files: bool = True) -> list[str]:
    """Remove what is new since ``before`` and held by nobody; return the names.

    ``files`` False leaves POSIX shared memory alone, where the player could not make any.
    """
    new = {entry for entry in snapshot() - before if files or entry[0] != "file"}
    held = _held() if any(kind == "file" for kind, _, _ in new) else set()
    removed = []
    for kind, name, number in sorted(new):
        if kind == "file":
            if number in held or not _unlink(name):
                continue
        elif not _remove_sysv(kind, number):
            continue
        removed.append(name)
    return removed


def _posix() -> Iterator[tuple[str, str, int]]:
    """Regular files at the top of the shared-memory folders: that is where shm_open puts them."""
    for folder in _FOLDERS:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    info = entry.stat(follow_symlinks=False)
                    if info.st_uid == os.geteuid() and stat.S_ISREG(info.st_mode):
                        yield "file", entry.path, info.st_ino


def _held() -> set[int]:
    """Return the inodes that a living process has open or mapped.

    Names would not do: ``sem_open`` maps a temporary one and then renames it.
    """
    held = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    held.add(os.stat(f"/proc/{pid}/fd/{fd}").st_ino)
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", errors="replace") as maps:
            held.update(int(line.split(None, 5)[4]) for line in maps if "/dev/" in line)
    return held


def _unlink(path: str) -> bool:
    with contextlib.suppress(OSError):
        os.unlink(path)
        return True
    return False


def _rows(kind: str) -> Iterator[dict[str, int]]:
    with contextlib.suppress(OSError), open(f"/proc/sysvipc/{kind}") as table:
        names = table.readline().split()
        for line in table:
            yield dict(zip(names, map(int, line.split()), strict=False))


def _sysv() -> Iterator[tuple[str, str, int]]:
    for kind, (identifier, _, _) in _SYSV.items():
        for row in _rows(kind):
            if row.get("cuid") == os.geteuid():
                yield kind, f"sysv-{kind}-{row[identifier]}", row[identifier]


def _remove_sysv(kind: str, number: int) -> bool:
    identifier, creator, attached = _SYSV[kind]
    for row in _rows(kind):
        if row[identifier] == number:
            if attached and row[attached]:
                return False
            if creator and row[creator] and os.path.exists(f"/proc/{row[creator]}"):
                return False
            libc = ctypes.CDLL(None, use_errno=True)
            if kind == "sem":
                return bool(libc.semctl(number, 0, _IPC_RMID) == 0)
            return bool(getattr(libc, f"{kind}ctl")(number, _IPC_RMID, None) == 0)
    return False


def remove(folder: str) -> bool:
    """Remove a folder with all that is in it, whatever its modes and its depth; True if it is gone.

    A folder without rights cannot be read, and one too deep cannot be named: each folder inside is
    given rights, moved up to the top, and emptied there.
    """
    token = secrets.token_hex(8)
    rooms = [folder]
    with contextlib.suppress(OSError):
        if os.path.islink(folder):  # not ours, and so is what it leads to
            os.unlink(folder)
        while rooms:
            room = rooms[-1]
            os.chmod(room, 0o700)
            inner = _empty(room, f"{folder}/{token}-{len(rooms)}")
            if inner:
                rooms.append(inner)
            else:
                os.rmdir(rooms.pop())
    return not os.path.lexists(folder)


def _empty(room: str, aim: str) -> str | None:
    """Unlink all files of a folder; move the first folder in it to ``aim`` and return that."""
    with os.scandir(room) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
            else:
                os.chmod(entry.path, 0o700)
                os.rename(entry.path, aim)
                return aim
    return None
