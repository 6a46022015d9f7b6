"""An examination of a target: run it in processes of its own, compare, and explain each fault.

Two processes see the target. The first plays small streams in every way the contract allows, leaves
a message, and then climbs the ladder of laws (``examination``); the second, with another HOME and
TMPDIR, has nothing but that message. What a law finds, a third process must find again: in a law
that chance could break, with other public coins, and largely in the same tokens. A crash or a hang
is a finding like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import PluginFailure
from .examination import rung
from .explain import Explained
from .fault import Fault
from .findings import CheckReport, Finding, finding, of_fault
from .heard import Phase
from .process import run

LADDER_SHARE = 0.5
"""Of the time limit; the rest is for the contract, and for seeing again what was found."""
SAME_TOKENS = 0.75


def check(
    target: str,
    params: Mapping[str, Any] | None = None,
    *,
    expect: Sequence[str] = (),
    otherwise: Sequence[str] = (),
    only: Sequence[str] = (),
    seconds: float = 120.0,
    memory_bytes: int = 4 << 30,
) -> CheckReport:
    """Try a target against the contract, and then against the laws.

    Args:
        target: as on the command line (``compressors.targets``).
        params: its own parameters.
        expect: the words of a declaration; they stand for the target's own.
        otherwise: the same for a target that declares nothing.
        only: the rungs to climb, by name; none: all.
        seconds: wall clock for the whole check; what is left when it is up is not tried.
        memory_bytes: address space that it may take beyond its imports.

    Raises:
        BadInput: there is no such target or parameter.
        HarnessFault: our own code failed, so nothing is said of the plug-in.
    """
    order = {
        "target": target, "params": dict(params or {}), "memory_bytes": memory_bytes,
        "ladder_seconds": LADDER_SHARE * seconds, "only": list(only),
        "expect": list(expect), "otherwise": list(otherwise),
    }  # fmt: skip
    began = time.monotonic()
    first = run({**order, "phase": "conform"}, seconds)
    found = first.findings()
    if first.knows_keys:
        found.append(finding("knows-keys", "arbitrary streams were skipped."))

    def left() -> float:
        return max(1.0, seconds - (time.monotonic() - began))

    compared: list[Finding] = []
    if first.kept:
        second = run({**order, "phase": "elsewhere", **first.kept}, left())
        compared = _compare(first.kept, second, {one.code for one in found})
        compared += second.findings()
    if compared or any(one.code == "not-deterministic" for one in found):
        # Chance or memory outside the instance: the first streams of fresh processes tell.
        one, two = (run({**order, "phase": "once"}, left()).again for _ in range(2))
        if one is not None and two is not None:
            found, compared = _told_apart(found, compared, same=one == two)
    found += compared
    once = {(one.code, one.detail): one for one in found}
    found = list(once.values())
    elsewhere = {"state-elsewhere", "not-deterministic"} & {one.code for one in found}
    if first.faults and not elsewhere:
        # Whatever the laws say of state that is not in the message follows from that.
        found = _with_laws(found, first.faults, lambda rungs: run(
            {**order, "phase": "again", "rungs": rungs}, left()
        ))  # fmt: skip
    tried = () if elsewhere else tuple(first.tried)
    return CheckReport(target, tuple(found), tried, first.holds, tuple(first.untried))


def explain(
    target: str,
    params: Mapping[str, Any] | None = None,
    *,
    seconds: float = 120.0,
    memory_bytes: int = 4 << 30,
) -> Explained:
    """What the message of a target is made of, played in a process of its own.

    Raises:
        BadInput: there is no such target or parameter.
        PluginFailure: it raised, hung or died.
        HarnessFault: our own code failed.
    """
    order = {"target": target, "params": dict(params or {}), "memory_bytes": memory_bytes}
    phase = run({**order, "phase": "explain"}, seconds)
    if phase.explained is None:
        raise PluginFailure(
            f"{target} could not be explained: {phase.findings()[0].detail}"
            if phase.codes
            else f"{target} could not be explained: its process ended."
        )
    return phase.explained


def _with_laws(
    found: list[Finding], faults: list[tuple[str, Fault]], again: Callable[[list[str]], Phase]
) -> list[Finding]:
    """All findings: a law's in the place of a probe's of the same code, if it is seen again.

    What a fresh process did not come to try stands as it was found: no time and no crash acquits.
    """
    rungs = list(
        dict.fromkeys(name for name, fault in faults if of_fault(fault).severity != "note")
    )
    second = again(rungs) if rungs else Phase()
    tried = {one.name for one in second.tried if one.whole}
    laws = [one for one in second.findings() if one.code in ("crashes", "raises")]
    for name, fault in faults:
        one = of_fault(fault, name)
        if one.severity == "note" or any(_is_same(name, fault, *other) for other in second.faults):
            laws.append(one)
        elif name not in tried:
            late = "; in a fresh process it was not tried again, for want of time or by a crash."
            laws.append(replace(one, detail=one.detail.rstrip(".") + late))
        else:
            laws.append(
                finding("by-chance", f"{one.title[0].lower()}{one.title[1:]}: {one.detail}")
            )
    codes = {one.code for one in laws}
    return [one for one in found if one.code not in codes] + laws


def _is_same(name: str, fault: Fault, other_name: str, other: Fault) -> bool:
    """Whether two faults are one: the same law, and of the named tokens most are the same."""
    if (name, fault.code) != (other_name, other.code):
        return False
    if rung(name).exact or fault.tokens is None or other.tokens is None:
        return True
    a, b = set(fault.tokens), set(other.tokens)
    return len(a & b) >= SAME_TOKENS * len(a | b)


def _told_apart(
    found: list[Finding], compared: list[Finding], same: bool
) -> tuple[list[Finding], list[Finding]]:
    """Name findings by their cause; ``same``: the first streams of fresh processes came out alike.

    Then what differed later was left behind by what came before. Else it is chance, and that two
    processes differ says nothing of memory.
    """
    if same:
        kept = "; the first streams of two fresh processes agree, so this is not chance."
        code, now = "not-deterministic", "state-elsewhere"
    else:
        kept = "; the first streams of two fresh processes differ as well."
        code, now = "state-elsewhere", "not-deterministic"
    named = [
        [finding(now, one.detail.rstrip(".") + kept) if one.code == code else one for one in group]
        for group in (found, compared)
    ]
    once = list({one.code: one for one in reversed(named[1])}.values())
    # What two instances of one process have in common is memory, whatever chance does beside it.
    return (named[0] if same else found), once[::-1]


def _compare(kept: Mapping[str, Any], second: Phase, known: set[str]) -> list[Finding]:
    """The answers of the process that saw the stream, and of the one that only has the message."""
    found = []
    expected = np.array(kept["outputs"])
    for name, code in (("message", "restore-differs"), ("cut", "cut-differs")):
        if name not in second.answers or code in known:
            continue
        answers = second.answers[name]
        if answers.shape != expected.shape or not np.allclose(answers, expected, 1e-3, 1e-4):
            # In its own process the same message did well, so what it lacks stayed behind there.
            found.append(
                finding(
                    "state-elsewhere", "the same message gives other answers in a fresh process."
                )
            )
            break
    same = second.again is None or second.again == kept["message"]
    if not same and "not-deterministic" not in known:
        found.append(
            finding("not-deterministic", "the same stream gave another message in a fresh process.")
        )
    return found
