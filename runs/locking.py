"""A lock beside a file, and the sentences for errors of the file system."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BadInput
from ..files import refuse_link


class StorageFailed(BadInput):
    """A row could not be written; the sentence says what to do. Rows written before are safe."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside ``path`` (made with its folder), or raise BadInput at once."""
    from filelock import FileLock, Timeout

    refuse_link(path)
    with sentences(path, "locked"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            if not Path(lock.lock_file).exists():
                raise PermissionError(errno.EACCES, "no file can be made there") from None
            raise BadInput(
                f"{path} is being written by another run: wait for it to end, or use another file."
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def sentences(path: Path, done: str) -> Iterator[None]:
    """Turn a system error about ``path`` into one sentence; ``done`` is a participle."""
    try:
        yield
    except FileNotFoundError:
        raise BadInput(f"There is no results file {path}: check the name.") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFailed(
                f"No space is left for {path}: all batches written before are safe; free some "
                "space and run the same command again."
            ) from error
        raise StorageFailed(
            f"{path} could not be {done} ({error.strerror or error}): choose another path, or "
            "repair this one, and run the same command again."
        ) from error
