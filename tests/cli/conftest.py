"""The command line, called in this process: exit code, stdout, stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest


class Said(NamedTuple):
    code: int
    out: str
    err: str


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


@pytest.fixture
def kvbarrier(capfd: pytest.CaptureFixture[str], tmp_path, monkeypatch: pytest.MonkeyPatch):
    from kvbarrier.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> Said:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in argv])
        code = stop.value.code
        return Said(0 if code is None else int(code), *capfd.readouterr())

    return run
