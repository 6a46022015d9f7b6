"""Files that are written whole or not at all, each in its place and nowhere else, by one at a time.

A file is written under another name beside its place and moved there in one step: no half is ever
read, a full disk leaves what was there before, a symbolic link is never written through, and no
device or pipe makes room for a file.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import BadInput


@contextmanager
def replaced(path: Path, move: Callable[[Path, Path], object] = os.replace) -> Iterator[Path]:
    """Yield the path of a new empty file, which ``move`` puts in the place of ``path`` at the end.

    After an exception it is gone, and ``path`` is as it was. Raises BadInput, with the path, for
    what the system refuses and as :func:`refuse_link` does.
    """
    refuse_link(path)
    # Not the name with something added, which may be as long as a name can be.
    partial = path.with_name(f".kvbarrier-{secrets.token_hex(6)}.partial")
    try:
        try:
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            yield partial
            move(partial, path)
        except OSError as error:
            raise unwritten(path, error) from error
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_whole(path: Path, data: str | bytes) -> None:
    """Write text, as UTF-8, or bytes. Raises BadInput as :func:`replaced` does."""
    with replaced(path) as partial:
        partial.write_bytes(data.encode("utf-8", "replace") if isinstance(data, str) else data)


def write_new(path: Path, text: str) -> None:
    """Write a new file. Raises FileExistsError if it exists, BadInput if it cannot be written."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        raise
    except OSError as error:
        raise unwritten(path, error) from error
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        path.unlink()
        raise unwritten(path, error) from error


def refuse_link(path: Path) -> None:
    """Raise BadInput for a symbolic link, whose target the user did not name, and for a device or a
    pipe, in whose place a file would be moved: for root, even of /dev/null."""
    if path.is_symlink():
        raise BadInput(
            f"{path} is a symbolic link, to {os.readlink(path)}, and kvbarrier does not write "
            "through links: name the file itself, or remove the link."
        )
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return  # not there, or a name that none can have: who writes it says so
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise BadInput(f"{path} is a device or a pipe and stays as it is: name a file.")


def refuse_place(path: Path, made: Path | None = None) -> None:
    """Raise BadInput where no file can be written, as far as that can be known before.

    For callers that work for long before they write. ``made`` is a folder that will be there.
    """
    try:
        refuse_link(path)
        if path.exists() and path.is_dir():
            raise BadInput(f"{path} is a folder: give the name of a file.")
        path.lstat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise unwritten(path, error) from error
    folder = path.parent
    while made is not None and folder.is_relative_to(made) and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise BadInput(f"{path}: there is no folder {folder}: make it, or use another path.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(f"{path}: nothing can be written in {folder}: use another path.")


def refuse_folder(path: Path) -> None:
    """The same for a folder that will be made, with those above it."""
    refuse_place(path / "file", made=Path(path.anchor))


def unwritten(path: Path, error: OSError | ValueError) -> BadInput:
    """The sentence for a system error while writing a file, or for a name that no file can have."""
    why = getattr(error, "strerror", None) or error
    return BadInput(
        f"{path} could not be written ({why}) and is unchanged: use another path, or free some "
        "space there."
    )


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
