"""Numba's ``njit`` for our kernels: cached on disk where a folder can be written, else without.

Numba raises where it finds no folder for its cache, as in a container that is read-only and has no
HOME, and again where a file of the cache can be neither read nor written, as on a full disk. A
cache saves seconds and never changes an answer, so for a kernel of ours none of that is an error:
it is compiled in every process, and one warning says so.

Workers of one run want the same kernel at the same time. They take turns: one compiles it, and the
others wait and load what it stored.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.compiler_lock import global_compiler_lock

_warned = False
_turns = 0
"""How deep this process is in turns of its own: a kernel that calls another compiles that one."""


class UncachedWarning(UserWarning):
    """Every process compiles the kernels again, because their code cannot be stored on disk."""


class _Cache(FunctionCache):
    """Numba's cache of one kernel, whose files may be out of reach at any time."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except OSError as error:
            _warn(str(error))
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
        except OSError as error:
            _warn(str(error))


def njit(**options: Any) -> Callable[[Any], Any]:
    """Numba's decorator of that name; ``cache=True`` asks for a cache where there can be one.

    Warns:
        UncachedWarning: once a run, where there can be none.

    >>> @njit(error_model="numpy")
    ... def half(x):
    ...     return x / 2
    >>> half(3.0)
    1.5
    """
    cached = options.pop("cache", False)

    def decorate(function: Any) -> Any:
        kernel = numba.njit(**options)(function)
        if cached and kernel is not function:  # NUMBA_DISABLE_JIT hands the function back
            try:
                kernel._cache = _Cache(kernel.py_func)  # type: ignore[no-untyped-call]
            except RuntimeError:
                _warn("no cache folder is writable")
            else:
                kernel.compile = _turn()(kernel.compile)
        return kernel

    return decorate


@contextmanager
def _turn() -> Iterator[None]:
    """In a worker: while no other worker on this machine compiles or loads a kernel of ours.

    The lock is the kernel's to let go if a worker is killed. Threads wait before it, not in it.
    """
    global _turns
    if multiprocessing.parent_process() is None:
        yield
        return
    import fcntl

    with global_compiler_lock, open(__file__, "rb") as file:
        _turns += 1
        try:
            if _turns == 1:
                with suppress(OSError):  # a file system without locks: each compiles for itself
                    fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            _turns -= 1


def warn_for_workers() -> None:
    """Warn here if nothing can be cached, on behalf of worker processes, which stay silent."""
    njit(cache=True)(_nothing)


def _nothing() -> None:
    pass


def _warn(reason: str) -> None:
    global _warned
    # A worker's parent has warned already: see warn_for_workers.
    if _warned or multiprocessing.parent_process() is not None:
        return
    _warned = True
    warnings.warn(
        f"Numba cannot keep compiled kernels ({reason}), so every process compiles them again: "
        "set NUMBA_CACHE_DIR to a writable folder.",
        UncachedWarning,
        stacklevel=2,
    )
