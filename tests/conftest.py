"""What holds for every test."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import scipy.linalg  # noqa: F401, which brings a BLAS beside NumPy's
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def _one_blas_thread() -> Iterator[None]:
    """As in every player and worker process. Where cores are shared, threads wait for each other
    on the processor's time: small products then take up to thirty times as much of it."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(autouse=True)
def _plug_ins_are_forgotten() -> Iterator[None]:
    """A plug-in played inline is imported here: leave no module or path of it behind."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if "pytest-of-" in file:
            del sys.modules[name]
    sys.path[:] = path
