"""Faults that a plain stream of bits does not show: the laws name them, and not the healthy.

kinds_of_loss.py has honest caches of many methods, of which nothing is said.
"""

from __future__ import annotations

import ast
import time
from pathlib import Path
from typing import Any

import pytest
from kvbarrier.compressors.targets import resolve
from kvbarrier.protocols.check.bench import Bench
from kvbarrier.protocols.check.examination import LADDER, rung
from kvbarrier.protocols.check.fault import Fault
from kvbarrier.protocols.check.kinds import KINDS
from kvbarrier.protocols.check.subject import Subject

RARER = Path(__file__).parent / "rarer.py"
LOSS = Path(__file__).parent / "kinds_of_loss.py"
SLOW = {"Rows", "Rotated3", "Product"}
HONEST = [
    node.name
    for node in ast.parse(LOSS.read_text()).body
    if isinstance(node, ast.ClassDef) and node.name not in SLOW
]


def said(file: Path, name: str, until: str = "", **params: Any) -> dict[str, Fault]:
    """The errors and warnings by code, of all laws or of those up to one that says ``until``."""
    bench = Bench(Subject(resolve(f"{file}:{name}", params)), time.monotonic() + 600)
    faults = []
    for one in LADDER:
        for fault in one.law(bench):
            bench.found.add(fault.code)
            faults.append(fault)
        if until in bench.found:
            break
    return {f.code: f for f in faults if KINDS[f.code].severity != "note"}


# class -> the code, and what the fault must name
NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "Rollback": ("operation-broken", {"operation": "crop 0"}),
    "RingAfterSinks": ("hole", {"tokens": (8,), "operation": "append 65"}),
    "HeadScales": ("wrong-scale", {"heads": (0, 1), "layers": (0, 1, 2)}),
    "OddNibble": ("comes-back", {"tokens": (0,), "operation": "append 1"}),
    "PartialGroup": ("cut-differs", {"tokens": (0,)}),
    "FirstScale": ("wiped-out", {"tokens": tuple(range(8, 64))}),
    "ZeroInRange": ("wrong-offset", {"tokens": tuple(range(64))}),
    "SharedPage": ("operation-broken", {"operation": "fork"}),
    "BatchRows": ("operation-broken", {"operation": "select 0 0"}),
    "BeamLayers": ("operation-broken", {"operation": "select 1"}),
    "CropHeads": ("operation-broken", {"operation": "crop 0"}),
    "KeepsOldest": ("hole", {"tokens": tuple(range(91, 130))}),
    "Swapped": ("bits-swapped", {}),
    "Wraps128": ("sign-lost", {}),
    "FlushedTwice": ("counted-twice", {"tokens": tuple(range(32))}),
    "Chunked": ("extend-differs", {"tokens": (31, 63, 95)}),
    "Bfloat": ("foreign-mass", {"operation": "append 520"}),
    "EqualKeys": ("hole", {"tokens": (3,)}),
    "ResetScales": ("operation-broken", {"operation": "reset"}),
    "Turned": ("operation-broken", {"operation": "crop 0"}),
    "Grown": ("value-damaged", {"tokens": tuple(range(64)), "operation": "append 65"}),
    "CountByte": ("cut-differs", {}),
    "Remembers": ("asking-changes-it", {}),
    "HeadMajor": ("restore-differs", {"heads": (0, 1), "layers": (0, 1, 2)}),
    "LayerBudget": ("budget-unused", {}),
}


def test_a_channel_that_is_declared_and_lost_is_a_counterexample() -> None:
    fault = said(RARER, "SaysSeven", "counterexample", fault=True)["counterexample"]
    assert (fault.channels, fault.operation) == ((5,), "append 64")
    assert "counterexample" not in said(RARER, "SaysSeven")


@pytest.mark.parametrize("name", NAMED)
def test_the_fault_is_named(name: str) -> None:
    code, places = NAMED[name]
    fault = said(RARER, name, code, fault=True)[code]
    assert {key: getattr(fault, key) for key in places} == places


def test_a_fault_is_shrunk_as_far_on_a_machine_that_has_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual, waited = time.monotonic, 0.0

    def slow() -> float:
        nonlocal waited
        waited += 0.5
        return usual() + waited

    monkeypatch.setattr(time, "monotonic", slow)
    bench = Bench(Subject(resolve(f"{RARER}:CropHeads", {"fault": True})), deadline=1e9)
    (fault,) = rung("life").law(bench)
    assert fault.operation == "crop 0"
    # But not for ever: a cache that sleeps takes no time of the processor.
    bench.rung_ends = slow() + 2
    assert [fault.operation for fault in rung("life").law(bench)] != ["crop 0"]


@pytest.mark.parametrize("name", NAMED)
def test_nothing_is_said_of_the_healthy(name: str) -> None:
    assert said(RARER, name) == {}


@pytest.mark.parametrize("name", HONEST)
def test_nothing_is_said_of_an_honest_loss(name: str) -> None:
    assert said(LOSS, name) == {}
