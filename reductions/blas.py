"""BLAS with one thread: a game is scaled over messages, and two threads wait for each other."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
from scipy.linalg.blas import sgemm
from threadpoolctl import ThreadpoolController


@functools.cache
def _controller() -> ThreadpoolController:
    # OpenBLAS prefetches past what it packed. Until its buffer has been written once, those
    # addresses have no page, and some shapes run 2 to 3.5 times slower (measured on Zen).
    ones = np.ones((512, 384), dtype=np.float32, order="F")
    sgemm(1.0, ones, ones, trans_b=True)
    return ThreadpoolController()


class _OneThread:
    """Who enters first limits BLAS, who leaves last restores it: threads may overlap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limit = _controller().limit(limits=1, user_api="blas")
                self._limit.__enter__()
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.__exit__(None, None, None)


#: ``with one_thread:`` BLAS has one thread; the libraries are looked for once
one_thread = _OneThread()
