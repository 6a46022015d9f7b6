"""Machinery that an object carries is public where both sides have it alike, and is never sent."""

from __future__ import annotations

import functools
import logging
import threading
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.plugin.machinery import alike
from kvbarrier.compressors.plugin.packing import pack_difference, unpack_difference
from kvbarrier.errors import PluginFailure


def scaled(x: Any, by: Any) -> Any:
    return x * by


class Serving:
    """What a class from a serving stack keeps beside its data."""

    def __init__(self, by: float = 2.0) -> None:
        self.lock, self.again = threading.Lock(), threading.RLock()
        self.ready, self.turn = threading.Event(), threading.Condition()
        self.log = logging.getLogger("kvbarrier.tests.serving")
        self.dtype = np.dtype(np.float16)
        self.scale = functools.partial(scaled, by=np.full(3, by))
        self.step = self.fast
        self.twice = functools.partial(self.fast, self)
        self.rows: list[Any] = []

    def fast(self) -> str:
        return f"{len(self.rows)} rows"


def test_a_class_with_locks_loggers_partials_and_methods_travels() -> None:
    one, bob = Serving(), Serving()
    one.rows = [np.ones(4, np.float32)]
    with one.lock:
        message = pack_difference(one, Serving())
    # The list, its one array with a head, the index of the attribute: no machinery.
    assert len(message) < 16 + 16
    unpack_difference(bob, message)
    assert bob.step() == "1 rows"
    assert not bob.lock.locked()
    assert pack_difference(Serving(), Serving()) == b""


@pytest.mark.parametrize("by", [3.0, -0.0])
def test_a_partial_of_another_argument_is_another(by: float) -> None:
    with pytest.raises(PluginFailure, match=r"Serving\.scale is a functools\.partial"):
        pack_difference(Serving(by), Serving(0.0))


def test_a_method_of_another_object_is_another() -> None:
    one, other = Serving(), Serving()
    other.rows = [1]
    one.step = other.fast
    with pytest.raises(PluginFailure, match=r"Serving\.step is a method"):
        pack_difference(one, Serving())


def test_what_is_alike_by_hand() -> None:
    def same(a: Any, b: Any) -> bool:
        return bool(a == b)

    assert alike(logging.getLogger("a"), logging.getLogger("b"), same) is False
    assert alike(lambda: 1, lambda: 2, same) is False
    assert alike([], [], same) is None
    assert alike(threading.RLock(), threading.RLock(), same)
