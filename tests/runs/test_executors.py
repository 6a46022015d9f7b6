"""The executors: in line, threads, processes, and what a cluster needs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.runs.executors import SerialExecutor, make_executor

MakeCell = Callable[..., Cell]


def test_executors(cell: MakeCell) -> None:
    with make_executor() as executor:
        assert isinstance(executor, SerialExecutor)
        assert executor.submit(divmod, 7, 2).result() == (3, 1)
        assert isinstance(executor.submit(divmod, 7, 0).exception(), ZeroDivisionError)
    with make_executor(2, "namespaces") as executor:
        assert isinstance(executor, ThreadPoolExecutor)
    with pytest.raises(BadInput, match="must be 1 or more, not 0"), make_executor(0):
        pass
    with make_executor(2, "inline") as executor:
        pids = {executor.submit(os.getpid).result() for _ in range(4)}
        assert os.getpid() not in pids
        assert executor.submit(os.getenv, "OPENBLAS_NUM_THREADS").result() == "1"


def test_a_worker_leaves_what_it_imported_out_of_searches_for_cycles() -> None:
    """Loky searches every second: what came with an import is looked through once, cycles go."""
    with make_executor(2, "inline") as executor:
        for task in [executor.submit(exec, LEAVES) for _ in range(4)]:
            task.result()


LEAVES = """
import fractions, gc, weakref
gc.collect()
assert gc.get_freeze_count() > 10_000, gc.get_freeze_count()

class Cycle: pass
one = Cycle()
one.itself, left = one, weakref.ref(one)
del one
gc.collect()
assert left() is None
"""

GROW = """
import sys, numpy
sys.held = getattr(sys, "held", None) or [numpy.ones(45_000_000)]
"""


def test_a_worker_that_keeps_360_megabytes_is_no_leak() -> None:
    """Loky looks a second after the last time, and would end it and warn of a leak."""
    pytest.importorskip("psutil")
    with make_executor(2, "inline") as executor:
        workers = []
        for code in ("import time; time.sleep(0.1)", GROW, GROW):
            for task in [executor.submit(exec, code) for _ in range(4)]:
                task.result()
            workers.append(set(executor._processes))
            time.sleep(1.1)
    assert workers[0] == workers[2]


def test_a_cluster_without_dask_says_what_to_install() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        with (
            pytest.raises(BadInput, match="pip install distributed"),
            make_executor(cluster="tcp://127.0.0.1:1"),
        ):
            pass
    else:
        pytest.skip("distributed is installed")
