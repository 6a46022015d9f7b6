"""The report of an engine's trials: what is told, once each, and what the sentence admits."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from kvbarrier.compressors.engines.schemes import SCHEMES
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.life.engine_check import EngineReport, _hear, check_engine
from kvbarrier.protocols.life.told import merged


def finding(*steps, severity="error", code="operation-loses", way="", places=0):
    return {
        "code": code, "severity": severity, "way": way, "params": {}, "operation": steps[-1],
        "detail": ", ".join(steps) + ": all tokens are lost", "tokens": [0], "ghosts": [],
        "places": places, "lost_bits": 36, "certified": False, "reproduction": list(steps),
        "schedule": {"schema": 1, "sequences": None, "operations": []}, "times": 1,
    }  # fmt: skip


def trial(*findings, way="", tried=3, whole=True):
    return {
        "way": way, "tried": {"usual": tried}, "findings": list(findings), "seconds": 1.0,
        "whole": whole,
    }  # fmt: skip


def test_one_fault_is_told_once_by_its_shortest_schedule():
    found = merged([
        finding("extend 20", "append 3", "crop 21", way="a"),
        finding("append 2", "crop 1", way="b"),
        finding("append 1", "crop 0", severity="note", code="operation-refused", way="b"),
        finding("append 2", "select 0 0", way="b"),
    ])  # fmt: skip
    assert [one["severity"] for one in found] == ["error", "error", "note"]
    crop = next(one for one in found if one["operation"] == "crop 1")
    assert (crop["ways"], crop["times"]) == (["a", "b"], 2)


def test_the_report_says_what_was_tried_and_what_was_not():
    report = EngineReport("hf:x", {"transformers": "9"}, first=2.0, seconds=7.0)
    report.trials = [trial(finding("append 2", "crop 1")), trial(way="b", tried=4, whole=False)]
    text = report.text()
    assert "7 schedules in 7 s: 1 error. The first error was seen after 2.0 s." in text
    assert "A fault that only another schedule shows is not excluded." in text
    assert "time was up before all were tried" in text
    assert "no certificate says" in text
    assert report.as_dict()["ok"] is False
    healthy = EngineReport("hf:x", trials=[trial()])
    assert healthy.as_dict()["ok"] is True
    assert "all kept" in healthy.text()


def test_what_the_process_says():
    def heard(*said):
        report, told = EngineReport("hf:x"), []
        lines = io.BytesIO(b"".join(json.dumps(one).encode() + b"\n" for one in said))
        return _hear(lines, report, told.append, 0.0), report, told

    one = finding("append 2", "crop 1")
    done, report, told = heard({"versions": {"a": "1"}}, {"trial": trial(one, one)}, {"done": True})
    assert done
    assert told == ["append 2, crop 1: all tokens are lost"]
    assert report.versions == {"a": "1"}
    assert heard({"trial": trial()})[0] is False
    with pytest.raises(BadInput, match="no such"):
        heard({"bad_input": "there is no such cache"})
    with pytest.raises(PluginFailure, match="needs a GPU"):
        heard({"failed": "it needs a GPU"})

    bad = finding("append 2") | {"severity": "none"}
    for said in (3, [], {}, {"trial": 1}, {"trial": {}}, {"done": 1}, {"failed": []},
                 {"versions": {"a": 1}}, {"trial": trial(bad)}, {"trial": trial(1)}):  # fmt: skip
        with pytest.raises(PluginFailure, match="says what no check says"):
            heard(said)


@pytest.mark.skipif(sys.platform != "linux", reason="daemons are found in /proc")
def test_a_codecs_daemon_ends_with_its_check(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import subprocess, time\n"
        "from pathlib import Path\n"
        "daemon = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "Path(__file__).with_suffix('.pid').write_text(str(daemon.pid))\n"
        "def encode(x):\n    time.sleep(600)\n"
        "def decode(data):\n    return data\n"
    )
    report = check_engine(f"codec:{tmp_path}/mine.py", seconds=5.0)
    assert report.ended == "The time limit ended it."
    pid = int((tmp_path / "mine.pid").read_text())
    until = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    if alive := Path(f"/proc/{pid}").exists():
        os.kill(pid, signal.SIGKILL)
    assert not alive


@pytest.mark.parametrize(
    ("scheme", "what", "params"),
    [
        ("hf", "dynamic", {}),
        ("hf", "sliding", {}),
        ("hf", "static", {}),
        ("hf", "quantized", {"backend": "hqq"}),
        ("llamacpp", "q8_0", {}),
        ("kvpress", "KnormPress", {"compression_ratio": 0.5}),
        ("codec", "a.py:B", {}),
    ],
)
def test_every_engine_has_its_ways_without_being_installed(scheme, what, params):
    ways = SCHEMES[scheme].ways(what, params)
    assert ways
    assert all(params.items() <= way.params.items() for way in ways)
    assert len({way.words for way in ways}) == len(ways)
    for way in ways:
        sizes = [way.params.get(name, 0) for name in ("window", "residual_length")]
        assert way.tokens > max(sizes)
