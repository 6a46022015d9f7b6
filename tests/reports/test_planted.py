"""Faults of other kinds, planted: the laws name them, and say nothing of the healthy.

The laws run in this process; tests/reports/test_reports.py has the processes.
"""

from __future__ import annotations

import runpy
import time
from pathlib import Path
from typing import Any

import pytest
from kvbarrier.compressors.targets import resolve
from kvbarrier.protocols.check.bench import Bench
from kvbarrier.protocols.check.examination import LADDER, climb
from kvbarrier.protocols.check.fault import Fault
from kvbarrier.protocols.check.kinds import KINDS
from kvbarrier.protocols.check.subject import Subject

PLANTED = Path(__file__).parent / "planted.py"
HONEST = Path(__file__).parent / "honest.py"
drawn = runpy.run_path(str(HONEST))["drawn"]


def found(name: str, until: str = "", **params: Any) -> list[Fault]:
    """What all laws find, or those up to one that says ``until``."""
    subject = Subject(resolve(f"{PLANTED}:{name}", params))
    bench = Bench(subject, time.monotonic() + 600)
    faults = []
    for rung in LADDER:
        for fault in rung.law(bench):
            bench.found.add(fault.code)
            faults.append(fault)
        if until in bench.found:
            break
    return faults


def errors(name: str, until: str, **params: Any) -> dict[str, Fault]:
    return {f.code: f for f in found(name, until, **params) if KINDS[f.code].severity == "error"}


# class -> the code, and what the fault must name
NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "PageEdge": ("hole", {"tokens": tuple(range(15, 131, 16))}),
    "ResidualFlush": ("hole", {"tokens": (31, 63, 95)}),
    "WindowShort": ("off-by-one", {"tokens": (131 - 48,)}),
    "Sinks": ("sinks-lost", {"tokens": (0,)}),
    "InverseScale": ("wiped-out", {}),
    "ZeroPoint": ("wrong-offset", {}),
    "LastGroup": ("channel-lost", {"channels": tuple(range(48, 64))}),
    "Doubled": ("counted-twice", {"tokens": (15, 30, 45)}),
    "Pairs": ("wrong-place", {"tokens": tuple(range(1, 48))}),
    "ChannelOrder": ("wrong-place", {"channels": tuple(range(1, 63))}),
    "Mutates": ("changes-inputs", {"operation": "append"}),
    "Tiled": ("wrong-head", {"heads": (1, 2)}),
    "SharedLayers": ("wrong-head", {"layers": (0, 1)}),
    "Decode": ("extend-differs", {"tokens": (36,)}),
    "ForgetsPosition": ("cut-differs", {"tokens": tuple(range(57, 64))}),
    "Crop": ("operation-broken", {"operation": "crop 1"}),
    "Reset": ("operation-broken", {"operation": "reset"}),
    "KeyScales": ("wrong-scale", {"operation": "attend"}),
    "StaleKeys": ("key-damaged", {"tokens": tuple(range(64)), "operation": "append 64"}),
    "LastRow": ("batch-differs", {"tokens": tuple(range(8, 48))}),
    "ZeroRange": ("constant-lost", {}),
    "Unsigned": ("sign-lost", {}),
    "HalfBudget": ("budget-unused", {}),
    "Slots": ("hole", {"tokens": (49,), "operation": "append 50"}),
    "Refuses": ("hole", {"tokens": tuple(range(9, 97, 10))}),
    "NeverEngages": ("never-engaged", {}),
    "EveryFourth": ("hole", {"tokens": tuple(range(3, 131, 4))}),
    "SaysExact": ("counterexample", {"operation": "attend"}),
    "SaysWindow": ("counterexample", {"tokens": (0,), "operation": "append 31"}),
}


@pytest.mark.parametrize("name", NAMED)
def test_the_fault_is_named(name: str) -> None:
    code, places = NAMED[name]
    fault = errors(name, code, fault=True)[code]
    assert {key: getattr(fault, key) for key in places} == places


@pytest.mark.parametrize("name", [*NAMED, "Buffer"])
def test_nothing_is_said_of_the_healthy(name: str) -> None:
    assert [(f.code, f.detail) for f in found(name) if KINDS[f.code].severity != "note"] == []


@pytest.mark.parametrize("number", [*range(6), 15, 138])
def test_nothing_is_said_of_honest_loss(number: int) -> None:
    said: list[dict[str, Any]] = []
    subject = Subject(resolve(f"{HONEST}:Honest", drawn(number)), seed=1000 + number)
    climb(subject, lambda **words: said.append(words), seconds=600)
    faults = [Fault.of(words["fault"]) for words in said if "fault" in words]
    assert [(f.code, f.detail) for f in faults if KINDS[f.code].severity != "note"] == []


def test_a_buffer_that_is_kept_is_a_note() -> None:
    (note,) = (f for f in found("Buffer", fault=True) if f.code == "keeps-arrays")
    assert note.tokens == tuple(range(24))
    assert [f.code for f in found("Buffer")] == []


def test_the_scales_of_keys_are_named_by_their_rule() -> None:
    assert (
        "group g has the scale of group 3 - g"
        in errors("KeyScales", "wrong-scale", fault=True)["wrong-scale"].detail
    )
