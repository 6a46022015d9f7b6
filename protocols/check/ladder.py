"""An examination of a target: run it in processes of its own, compare, and explain each fault.

Two processes see the target. The first plays small streams in every way the contract allows, leaves
a message, and then climbs the ladder of laws (``examination``); the second, with another HOME and
TMPDIR, has nothing but that message. What a law finds, a third process must find again: in a law
that chance could break, with other public coins, and largely in the same tokens. A crash or a hang
is a finding like any other.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...compressors.plugin.blame import is_ours
from ...errors import BadInput, HarnessFault, PluginFailure
from ..players.isolation import environment
from .examination import rung
from .explain import Explained, Part
from .fault import Fault
from .findings import CheckReport, Finding, Tried, finding, of_fault

LADDER_SHARE = 0.5
"""Of the time limit; the rest is for the contract, and for seeing again what was found."""
SAME_TOKENS = 0.75
_LAST_WORDS = 0.5
_TAIL = 2000
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')


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
    first = _run({**order, "phase": "conform"}, seconds)
    found = first.findings()
    if first.facts.get("knows_keys"):
        found.append(finding("knows-keys", "arbitrary streams were skipped."))

    def left() -> float:
        return max(1.0, seconds - (time.monotonic() - began))

    compared: list[Finding] = []
    if first.kept:
        second = _run({**order, "phase": "elsewhere", **first.kept}, left())
        compared = _compare(first.kept, second, {one.code for one in found})
        compared += second.findings()
    if compared or any(one.code == "not-deterministic" for one in found):
        # Chance or memory outside the instance: the first streams of fresh processes tell.
        one, two = (_run({**order, "phase": "once"}, left()).again for _ in range(2))
        if one is not None and two is not None:
            found, compared = _told_apart(found, compared, same=one == two)
    found += compared
    once = {(one.code, one.detail): one for one in found}
    found = list(once.values())
    elsewhere = {"state-elsewhere", "not-deterministic"} & {one.code for one in found}
    if first.faults and not elsewhere:
        # Whatever the laws say of state that is not in the message follows from that.
        found = _with_laws(found, first.faults, lambda rungs: _run(
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
    phase = _run({**order, "phase": "explain"}, seconds)
    if phase.explained is None:
        raise PluginFailure(
            f"{target} could not be explained: {phase.findings()[0].detail}"
            if phase.codes
            else f"{target} could not be explained: its process ended."
        )
    parts = tuple(Part(**part) for part in phase.explained.pop("parts"))
    return Explained(**phase.explained, parts=parts)


def _with_laws(
    found: list[Finding], faults: list[tuple[str, Fault]], again: Callable[[list[str]], _Phase]
) -> list[Finding]:
    """All findings: a law's in the place of a probe's of the same code, if it is seen again."""
    rungs = list(
        dict.fromkeys(name for name, fault in faults if of_fault(fault).severity != "note")
    )
    seen = again(rungs).faults if rungs else []
    laws = []
    for name, fault in faults:
        one = of_fault(fault, name)
        if one.severity == "note" or any(_is_same(name, fault, *other) for other in seen):
            laws.append(one)
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


@dataclass
class _Phase:
    """What one process said before it ended."""

    facts: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    again: str | None = None
    explained: dict[str, Any] | None = None
    codes: list[tuple[str, str]] = field(default_factory=list)
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    holds: str | None = None
    doing: str = "importing it"
    done: bool = False

    def hear(self, line: bytes) -> None:
        """Take in one line; a torn last one, of a process that was killed, is left out."""
        try:
            said = json.loads(line)
        except ValueError:
            return
        if "bad_input" in said:
            raise BadInput(said["bad_input"])
        if "ours" in said:
            raise HarnessFault(said["ours"])
        if "fault" in said:
            self.faults.append((said["rung"], Fault.of(said["fault"])))
        elif "tried" in said:
            self.tried.append(Tried(**said["tried"]))
        elif "holds" in said:
            self.holds, self.untried = said["holds"], said["untried"]
        elif "explained" in said:
            self.explained = said["explained"]
        elif "code" in said:
            self.codes.append((said["code"], said["detail"]))
        elif "message" in said:
            self.kept = said
        elif "answered" in said:
            self.answers[said["answered"]] = said["outputs"]
        self.facts = said.get("facts", self.facts)
        self.doing = said.get("probe", self.doing)
        self.again = said.get("again", self.again)
        self.done = self.done or "done" in said

    def findings(self) -> list[Finding]:
        return [finding(code, detail) for code, detail in self.codes]


def _run(order: dict[str, Any], seconds: float) -> _Phase:
    private = tempfile.mkdtemp(prefix="kvbarrier-check-")
    for name in ("home", "tmp"):
        os.mkdir(f"{private}/{name}")
    try:
        return _listen(order, seconds, private)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _listen(order: dict[str, Any], seconds: float, private: str) -> _Phase:
    phase = _Phase()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", f"{__package__}.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(private),
        start_new_session=True,
    ) as process:
        late = False
        try:
            out, err = process.communicate(json.dumps(order).encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            late = True
            # faulthandler then writes down where it is.
            process.send_signal(signal.SIGABRT)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_LAST_WORDS)
            _end_group(process.pid)
            out, err = process.communicate()
        finally:
            _end_group(process.pid)
    for line in out.splitlines():
        phase.hear(line)
    if late:
        phase.codes.append(
            (
                "hangs",
                f"in the step {phase.doing!r} it is not done after {seconds:g} s{_where(err)}.",
            )
        )
    elif process.returncode != 0:
        phase.codes.append(("crashes", _last_words(phase.doing, process.returncode, err)))
    elif not (phase.done or phase.codes):
        phase.codes.append(("crashes", f"in the step {phase.doing!r} its process ended by itself."))
    return phase


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _last_words(doing: str, code: int, err: bytes) -> str:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    lines = err.decode(errors="replace").strip().splitlines()
    frames = ((line, _FRAME.search(line)) for line in lines)
    tail = "\n".join(line for line, frame in frames if not (frame and is_ours(frame[1])))[-_TAIL:]
    return f"in the step {doing!r} its process {how}{_where(err)}." + (f"\n{tail}" if tail else "")


def _where(err: bytes) -> str:
    """The plug-in's line that faulthandler wrote down, in parentheses, or nothing."""
    for file, line, name in _FRAME.findall(err.decode(errors="replace")):
        if not is_ours(file):
            return f" ({Path(file).name}, line {line}, in {name})"
    return ""


def _compare(kept: Mapping[str, Any], second: _Phase, known: set[str]) -> list[Finding]:
    """The answers of the process that saw the stream, and of the one that only has the message."""
    found = []
    expected = np.array(kept["outputs"])
    for name, code in (("message", "restore-differs"), ("cut", "cut-differs")):
        if name not in second.answers or code in known:
            continue
        answers = np.array(second.answers[name])
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
