"""What holds for every test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import scipy.linalg  # noqa: F401, which brings a BLAS beside NumPy's
from kvbarrier.protocols.players import template
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
    # A module that is new is at the end, and comparing thousands of names takes as long as a test.
    known, path = len(sys.modules), list(sys.path)
    yield
    for name in list(sys.modules)[known:] if len(sys.modules) != known else ():
        file = getattr(sys.modules[name], "__file__", None) or ""
        if "pytest-of-" in file:
            del sys.modules[name]
    sys.path[:] = path


@pytest.fixture(autouse=True, scope="session")
def _one_template() -> Iterator[None]:
    """The players of all tests are forked from one template, as those of a run are."""
    with template.held():
        yield


@pytest.fixture
def own_template(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A template of this test alone, started as the test says, and ended with it."""
    started: dict[object, template.Template] = {}
    monkeypatch.setattr(template, "_templates", started)
    yield
    for one in started.values():
        one.close()


@pytest.fixture(scope="session")
def files_of_ours() -> list[str]:
    """The names of what git tracks; where there is no git, of what lies here and is not hidden."""
    root = Path(__file__).resolve().parents[1]
    try:
        listing = subprocess.run(
            ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        made = {"__pycache__", "build", "dist", "results"}
        names = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
        return [
            str(name) for name in names
            if made.isdisjoint(name.parts) and not any(part[0] in "._" for part in name.parts[:-1])
        ]  # fmt: skip
    return [name for name in listing.stdout.splitlines() if (root / name).exists()]
