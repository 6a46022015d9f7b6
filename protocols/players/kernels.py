"""Our compiled kernels: made before players need them, and copied for each player apart."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from importlib.abc import MetaPathFinder
from pathlib import Path

import numpy as np

_COPY_LIMIT = 256 << 20


@cache
def warm_kernels() -> None:
    """Have numba compile our attention kernels here, if it has not, where players read them.

    What a player compiles goes with it, so every player would compile again.
    """
    room = Path(__file__).resolve().parents[2] / "reductions"
    sources = [f for f in room.glob("attention*.py") if b"njit" in f.read_bytes()]
    newest = max((f.stat().st_mtime for f in _compiled()), default=0.0)
    if newest >= max((f.stat().st_mtime for f in sources), default=0.0):
        return
    from ...reductions.attention import next_bits, next_outputs

    rows = np.eye(2, dtype=np.float32)
    next_outputs(rows, rows, rows, rows, rows)
    next_bits(rows, rows, rows, rows, rows, np.zeros(2, dtype=np.float32))
    # Where only the time of a source is another one, numba leaves what it has as it is.
    for file in _compiled():
        with suppress(OSError):
            os.utime(file)


def _compiled() -> list[Path]:
    given = os.environ.get("NUMBA_CACHE_DIR")
    return [f for room in numba_caches(given) for f in room.rglob("attention*.nbi")]


def numba_caches(given: str | None) -> list[Path]:
    """Return the folders where numba has its compiled kernels: it wants to write where it reads.

    ``given`` is a NUMBA_CACHE_DIR.
    """
    if given:
        return [Path(given)] if Path(given).is_dir() else []
    rooms = _packages(Path(__file__).absolute().parents[2])
    return [room / "__pycache__" for room in rooms if any(room.glob("__pycache__/*.nbi"))]


def _packages(folder: Path) -> list[Path]:
    inner = [f.parent for f in folder.glob("*/__init__.py")]
    return [folder, *(package for room in inner for package in _packages(room))]


def keep_kernels_apart(private: str) -> None:
    """Have numba read and write copies of its compiled kernels in the private folder.

    Alice could write to the originals, and Bob would read them. They are copied when numba is
    first imported: most caches never do.
    """
    copy = partial(_copy_kernels, f"{private}/numba", given=os.environ.get("NUMBA_CACHE_DIR"))
    os.environ["NUMBA_CACHE_DIR"] = f"{private}/numba"
    if "numba" in sys.modules:
        copy()
    else:
        sys.meta_path.insert(0, _BeforeNumba(copy))


class _BeforeNumba(MetaPathFinder):
    """Finds no module, and does something before the import of numba goes on."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Act once, when numba is asked for."""
        if fullname == "numba":
            sys.meta_path.remove(self)
            self._act()


def _copy_kernels(aim: str, given: str | None) -> None:
    for folder in numba_caches(given):
        if sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) > _COPY_LIMIT:
            continue
        mine = aim
        if given is None:
            # Where numba looks for what it compiled from the sources in a folder.
            room = str(folder.parent)
            mine = f"{aim}/{folder.parent.name}_{hashlib.sha1(room.encode()).hexdigest()}"
        # A child that imports numba was here before the host, who imports it after a rehearsal.
        shutil.copytree(folder, mine, ignore=shutil.ignore_patterns("*.pyc"), dirs_exist_ok=True)
