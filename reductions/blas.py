"""BLAS with one thread: a game is scaled over messages, and two threads wait for each other."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
from scipy.linalg.blas import sgemm
from threadpoolctl import ThreadpoolController


@functools.cache
def _libraries() -> list[Any]:
    # OpenBLAS prefetches past what it packed. Until its buffer has been written once, those
    # addresses have no page, and some shapes run 2 to 3.5 times slower (measured on Zen).
    ones = np.ones((512, 384), dtype=np.float32, order="F")
    sgemm(1.0, ones, ones, trans_b=True)
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


class _OneThread:
    """Who enters first limits BLAS, who leaves last restores it: threads may overlap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limited: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limited = [(one, n) for one in _libraries() if (n := one.num_threads) != 1]
                for library, _ in self._limited:
                    library.set_num_threads(1)
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for library, threads in self._limited:
                    library.set_num_threads(threads)


#: ``with one_thread:`` BLAS has one thread; the libraries are looked for once
one_thread = _OneThread()
