"""The command line, called in this process: exit code, stdout, stderr."""

from __future__ import annotations

from typing import NamedTuple

import pytest


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def kvbarrier(capfd: pytest.CaptureFixture[str], tmp_path, monkeypatch: pytest.MonkeyPatch):
    from kvbarrier.cli import main, options

    monkeypatch.chdir(tmp_path)
    # What a slow machine says meanwhile is no part of what is told.
    monkeypatch.setattr(options._Lines, "FIRST", float("inf"))

    def run(*argv: str) -> Said:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in argv])
        code = stop.value.code
        return Said(0 if code is None else int(code), *capfd.readouterr())

    return run
