"""The ``concurrent.futures.Executor`` that does the work.

Players in ``process`` and ``namespaces`` isolation are processes already, so threads are enough to
wait for them; ``inline`` play needs our own processes (loky); a cluster is dask's. There is no
scheduler of our own.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from ..errors import BadInput

P = ParamSpec("P")
T = TypeVar("T")


class SerialExecutor(Executor):
    """Runs each call at once, in the calling thread; ``submit`` returns a finished future."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` now. What it raises is kept in the future; an interrupt is not."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            result = fn(*args, **kwargs)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        return future


@contextmanager
def make_executor(
    workers: int = 1, isolation: str = "inline", cluster: str | None = None
) -> Iterator[Executor]:
    """Yield an executor, shut down at the end; after an exception it is not waited for.

    ``cluster`` is the address of a dask scheduler (``tcp://host:8786``); then the
    cluster manages the rest. Raises BadInput without workers, and what
    :func:`~.cluster.dask_executor` raises.
    """
    if workers < 1:
        raise BadInput(f"The number of workers must be 1 or more, not {workers}.")
    if cluster is not None:
        from .cluster import dask_executor

        with dask_executor(cluster) as executor:
            yield executor
        return
    executor, drop = _local(workers, isolation)
    try:
        yield executor
    except BaseException:
        drop()
        raise
    executor.shutdown(wait=True)


def _local(workers: int, isolation: str) -> tuple[Executor, Callable[[], None]]:
    """A local executor, and how to leave it without waiting."""
    if workers == 1 and isolation == "inline":
        return SerialExecutor(), lambda: None
    if isolation != "inline":
        threads = ThreadPoolExecutor(workers)
        return threads, lambda: threads.shutdown(wait=False, cancel_futures=True)
    from loky import ProcessPoolExecutor

    from ..reductions.jit import warn_for_workers

    warn_for_workers()
    # Kernels are serial and BLAS gains nothing from threads that compete with the other workers.
    own = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Where psutil is installed loky takes 300 MB more for a leak, ends the worker and warns. Ours
    # keep key sets and plans, within bounds of their own, and would only make them again.
    own["LOKY_MAX_MEMORY_LEAK_SIZE"] = "4e9"
    processes = ProcessPoolExecutor(
        workers, initializer=_settle_worker, initargs=(os.getpid(),), env=own
    )
    return processes, lambda: _drop(processes)


def _drop(processes: Any) -> None:
    """Leave loky's workers at once, and quietly.

    Its manager thread fails every pending future, and stumbles over those that were cancelled.
    """
    usual = threading.excepthook

    def hook(args: Any) -> None:
        if not isinstance(args.exc_value, InvalidStateError):
            usual(args)

    threading.excepthook = hook
    processes.shutdown(wait=False, kill_workers=True)


def _settle_worker(parent: int) -> None:
    """In a worker process: leave interrupts to the parent, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    gc.callbacks.append(_keep_imports())


def _keep_imports() -> Callable[[str, dict[str, int]], None]:
    """Leave what was imported out of later searches for cycles.

    Where psutil is not installed loky orders one every second, through all that there is.
    """
    seen = 0

    def freeze(phase: str, info: dict[str, int]) -> None:
        nonlocal seen
        if (phase, info["generation"]) == ("stop", 2) and seen != len(sys.modules):
            seen = len(sys.modules)
            gc.freeze()

    return freeze


def _end_with(parent: int) -> None:
    # A killed parent cannot say goodbye; being handed to another one is how its children notice.
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
