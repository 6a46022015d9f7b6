"""The command line, called in this process: exit code, stdout, stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest


class Said(NamedTuple):
    code: int
    out: str
    err: str


# A process starts for longer than its verbs run, and so does the template of its players: of verbs
# that are told apart many can share both. Each goes in by the door of "python -m kvbarrier".
ONE_AFTER_ANOTHER = """
import os, runpy, sys
from kvbarrier.protocols.players import template
words = sys.argv[1:]
with template.held():
    while words:
        end = words.index("then")
        sys.argv, words = ["kvbarrier", *words[:end]], words[end + 1 :]
        try:
            runpy.run_module("kvbarrier", run_name="__main__")
        except SystemExit as stop:
            code = stop.code
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, f"\\0{code}\\0".encode())
"""


@pytest.fixture(scope="session")
def several() -> Callable[..., list[str | bytes]]:
    """The command that runs several verbs in one process; see :func:`told_apart`."""

    def command(*verbs: Sequence[str | bytes]) -> list[str | bytes]:
        words = [word for argv in verbs for word in (*argv, "then")]
        return [sys.executable, "-c", ONE_AFTER_ANOTHER, *words]

    return command


@pytest.fixture(scope="session")
def told_apart() -> Callable[[str], list[tuple[int, str]]]:
    """The exit code and the output of each verb that ended."""

    def parts(text: str) -> list[tuple[int, str]]:
        parts = text.split("\0")
        return list(zip(map(int, parts[1::2]), parts[::2], strict=False))

    return parts


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
