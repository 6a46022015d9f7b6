"""The process of a check says what it likes, and ends as it likes: no verdict comes of that."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvbarrier.errors import BadInput, HarnessFault
from kvbarrier.protocols.check.cases import read_case, replay_case
from kvbarrier.protocols.check.findings import NO_TIME, CheckReport, Tried
from kvbarrier.protocols.check.heard import _READERS, Phase
from kvbarrier.protocols.check.ladder import check

EXACT = """
import os, subprocess, sys, time
import numpy as np

class Exact:
    def __init__(self, shape, budget_bits=None):
        self.shape, self.tokens = shape, []
        self.begun()

    def begun(self):
        pass

    def append(self, q, k, v):
        self.tokens.append((k.copy(), v.copy()))

    def rows(self):
        return self.tokens

    def attend(self, q):
        K, V = (np.array(part) for part in zip(*self.rows(), strict=True))
        weights = np.exp(K @ q - (K @ q).max())
        return weights @ V / weights.sum()
"""


def written(tmp_path, text):
    file = tmp_path / "mine.py"
    file.write_text(EXACT + text)
    return f"{file}:Mine"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=8,
)
words = st.sampled_from(sorted({name for names in _READERS for name in names}))


@given(
    st.one_of(
        plain,
        st.dictionaries(words, plain, max_size=4),
        st.sampled_from(list(_READERS)).flatmap(
            lambda names: st.fixed_dictionaries(dict.fromkeys(names, plain))
        ),
    )
)
def test_no_line_is_an_error_of_ours(said):
    phase = Phase()
    with suppress(BadInput, HarnessFault):  # which are sentences
        phase.hear(json.dumps(said).encode())
    phase.findings()


def test_what_a_cache_writes_into_the_pipe_is_a_finding(tmp_path):
    for line in ("3", '{"tried": {}}', '{"fault": 1, "rung": 2}', '{"code": "none", "detail": ""}'):
        own = f"class Mine(Exact):\n    def begun(self):\n        os.write(3, b'{line}\\n')\n"
        (found,) = check(written(tmp_path, own), seconds=20).errors
        assert found.code == "crashes"


def test_a_daemon_ends_with_a_check_that_hangs(tmp_path):
    own = """
from pathlib import Path

daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
Path(__file__).with_suffix(".pid").write_text(str(daemon.pid))

class Mine(Exact):
    def append(self, q, k, v):
        time.sleep(600)
"""
    target = written(tmp_path, own)
    (found,) = check(target, seconds=3).errors
    assert found.code == "hangs"
    assert "in append" in found.detail
    assert _gone(int((tmp_path / "mine.pid").read_text()))


def test_a_daemon_ends_with_a_check_that_is_killed(tmp_path):
    own = """
from pathlib import Path

daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
Path(__file__).with_suffix(".pid").write_text(str(daemon.pid))

class Mine(Exact):
    def append(self, q, k, v):
        time.sleep(600)
"""
    target = written(tmp_path, own)
    command = [sys.executable, "-m", "kvbarrier", "check", target]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    noted = tmp_path / "mine.pid"
    until = time.monotonic() + 30
    while not (noted.exists() and noted.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    running.kill()
    running.wait()
    assert _gone(int(noted.read_text()))


def _gone(pid, seconds=5.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    os.kill(pid, 9)
    return False


# Without a certificate of its own what a law found was a note, and the exit code 0.
LOSES = """
class Mine(Exact):
    first = None

    def begun(self):
        Mine.first = Mine.first or self.shape.tokens
        if Mine.first != 40:  # no process of the contract's: one that tries a law again
            {ending}

    def rows(self):
        return [one for t, one in enumerate(self.tokens) if t != 5]
"""


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.abort()", "time.sleep(600)"])
def test_what_a_law_found_stands_if_the_process_that_tries_it_again_does_not(tmp_path, ending):
    report = check(written(tmp_path, LOSES.format(ending=ending)), seconds=24)
    assert "by-chance" not in {one.code for one in report.findings}
    (lost,) = [one for one in report.errors if one.tokens == (5,)]
    assert "it was not tried again" in lost.detail


@pytest.mark.parametrize("tried", [(), (Tried("held", "holes", NO_TIME, 4.0),)])
def test_a_case_whose_law_was_not_tried_is_not_mended(tmp_path, monkeypatch, tried):
    report = CheckReport("mine.py:Mine", (), tried, None, ("holes (time was up)",))
    monkeypatch.setattr("kvbarrier.protocols.check.ladder.check", lambda *_, **__: report)
    case = tmp_path / "case.json"
    play = {"law": "held", "code": "hole", "steps": [], "params": {}}
    case.write_text(json.dumps({
        "kvbarrier_case": 1, "kind": "check", "target": "mine.py:Mine", "play": play,
        "declares": [], "question": None, "expected": None, "read": None, "answered": None,
        "found": "token 5 is lost.", "versions": {},
    }))  # fmt: skip
    with pytest.raises(BadInput, match=r"the law 'held' was not tried .holes .time was up"):
        replay_case(read_case(case), written(tmp_path, ""))
