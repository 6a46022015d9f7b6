"""What ``regress`` says when it is stopped."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest
from kvbarrier.cli import regress
from kvbarrier.experiments import registry
from kvbarrier.runs.interrupts import Interrupted


def test_a_stopped_regress_promises_no_folder_that_ends_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(run):
        raise Interrupted(signal.SIGINT, 3, 1, str(run.folder))

    monkeypatch.setattr(registry, "NAMES", ["fano"])
    monkeypatch.setattr(registry, "get", lambda name: SimpleNamespace(run=stop, claims=()))
    with pytest.raises(Interrupted, match="no results of this run are kept") as stopped:
        regress._claims(None, None)
    assert stopped.value.exit_code == 130
    assert (stopped.value.kept, stopped.value.abandoned) == (0, 1)
