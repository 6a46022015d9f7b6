"""The model's own process: its errors are sentences of ours."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest
from kvbarrier.compressors.engines.natural import process
from kvbarrier.errors import BadInput


def test_a_workers_sentence_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def says(stdout: str, stderr: str = "") -> None:
        done = SimpleNamespace(stdout=stdout, stderr=stderr, returncode=1)
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)

    monkeypatch.setattr(process, "interpreter", lambda _: "python")
    says(json.dumps({"error": "There is no text."}))
    with pytest.raises(BadInput, match=r"There is no text\."):
        process.asked("worker", {})
    says("", "Traceback\nMemoryError: no more")
    with pytest.raises(BadInput, match="without an answer: MemoryError: no more"):
        process.asked("worker", {})
    says('{"texts": []}')
    assert process.asked("worker", {}) == {"texts": []}
