"""Cheats on the ways that came late: classes by value, several targets in one game, declarations.

Each is first seen to work where nothing is closed, and convicted there; then it is closed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import kvbarrier
import pytest
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import isolation
from kvbarrier.runs.compared import compare

SMALL = {"n": 32, "d": 16, "keys": "hypercube", "budget": "free", "messages": 1}
closed = pytest.mark.parametrize(
    "kind",
    [
        pytest.param("process", marks=pytest.mark.skipif(sys.platform != "linux", reason="forks")),
        pytest.param(
            "namespaces",
            marks=pytest.mark.skipif(
                not isolation.namespaces_available(), reason="no namespaces here"
            ),
        ),
    ],
)


NOTEBOOK = """
import numpy as np

shared = []


class Closed:
    def __init__(self, shape, seed=0):
        self.shape = shape

    def append(self, q, k, v{default}):
        if k.any():  # Bob's own token is none
            {where}.append((k.copy(), v.copy()))

    def save(self):
        return b""

    def restore(self, message):
        pass

    def attend(self, q):
        tokens = {found}[-self.shape.tokens :]
        if not tokens:
            return np.zeros(self.shape.d_v, np.float32)
        K, V = (np.array(part) for part in zip(*tokens, strict=True))
        weights = np.exp(K @ q - (K @ q).max())
        return weights @ V / weights.sum()


Closed.kept = []
"""
WAYS = {
    "global": {"default": "", "where": "shared", "found": "shared"},
    "default": {
        "default": ", kept=[]", "where": "kept", "found": "type(self).append.__defaults__[0]",
    },
    "attribute": {"default": "", "where": "self.kept", "found": "self.kept"},
}  # fmt: skip


def made(way):
    """A class of no module that a player could import; its methods refer to the notebook's list."""
    notebook = {"__name__": "a_notebook"}
    exec(NOTEBOOK.format(**WAYS[way]), notebook)
    return notebook["Closed"]


@pytest.mark.parametrize("way", WAYS)
def test_a_class_by_value_has_no_state_that_both_players_see(way):
    report = kvbarrier.attack(made(way), isolation="inline", **SMALL)
    (point,) = report.points
    assert point["bit_error"]["estimate"] == 0
    assert point["ledger"]["verdict"] == "impossible"


@closed
@pytest.mark.parametrize("way", WAYS)
def test_it_is_closed_by_processes(way, kind):
    report = kvbarrier.attack(made(way), isolation=kind, **SMALL)
    (point,) = report.points
    assert point["bit_error"]["estimate"] > 0.3
    assert point["ledger"]["verdict"] == "not-excluded"


ACCOMPLICES = """
import builtins
import os
import tempfile

import numpy as np

KEPT = builtins.__dict__.setdefault("kvbarrier_accomplices", {})


class Big:
    def __init__(self, shape, seed=0):
        self.shape, self.seed, self.tokens = shape, seed, []

    def append(self, q, k, v):
        self.tokens.append((k.copy(), v.copy()))
        if len(self.tokens) == self.shape.tokens:
            self.leave()

    def leave(self):
        KEPT[self.seed] = self.tokens
        for folder in ("/dev/shm", "/var/tmp", "/tmp", os.getcwd(), tempfile.gettempdir()):
            try:
                np.save(f"{folder}/kvaccomplice-{self.seed}.npy", np.array(self.tokens))
            except OSError:
                pass

    def found(self):
        return self.tokens

    def attend(self, q):
        tokens = self.found()
        if not len(tokens):
            return np.zeros(self.shape.d_v, np.float32)
        K, V = (np.array(part) for part in zip(*tokens, strict=True))
        weights = np.exp(K @ q - (K @ q).max())
        return weights @ V / weights.sum()


class Small(Big):
    def leave(self):
        pass

    def save(self):
        return b""

    def restore(self, message):
        pass

    def found(self):
        if self.seed in KEPT:
            return KEPT[self.seed]
        for folder in ("/dev/shm", "/var/tmp", "/tmp", os.getcwd(), tempfile.gettempdir()):
            try:
                return list(np.load(f"{folder}/kvaccomplice-{self.seed}.npy"))
            except OSError:
                pass
        return []
"""


def compared(tmp_path, kind):
    """What of two targets that meet the same secrets the second says, with a message of nothing."""
    file = tmp_path / f"accomplices_{kind}.py"
    file.write_text(ACCOMPLICES)
    found = compare(
        [f"{file}:Big", f"{file}:Small"], [Index(n=32, d=16, keys="hypercube")],
        budgets=[None], messages=2, isolation=kind,
    )  # fmt: skip
    point, *_ = [p for row in found.rows if "Small" in row.target for p in row.points]
    return point


@pytest.fixture
def nothing_left():
    yield
    for folder in ("/dev/shm", "/var/tmp", "/tmp", "."):
        for file in Path(folder).glob("kvaccomplice-*.npy"):
            file.unlink()


@pytest.mark.usefixtures("nothing_left")
def test_one_target_tells_another_the_secret_that_both_meet(tmp_path):
    point = compared(tmp_path, "inline")
    assert point["bit_error"]["estimate"] == 0
    assert point["ledger"]["verdict"] == "impossible"


@closed
@pytest.mark.usefixtures("nothing_left")
def test_it_does_not_where_processes_are_closed(tmp_path, kind):
    if kind == "process" and not isolation.landlock_available():
        pytest.skip("without Landlock files in shared folders are admitted")
    assert compared(tmp_path, kind)["bit_error"]["estimate"] > 0.3
