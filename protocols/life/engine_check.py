"""``kvbarrier check`` of an engine: a process where it is installed, and what that one says.

Whoever wants the findings themselves takes ``EngineReport.findings``: plain data, as ``engines``
tells them, the worst first.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from ...compressors.engines.schemes import interpreter_of
from ...errors import BadInput, PluginFailure
from ..players.isolation import environment
from ..players.reaper import GRACE
from .told import SEVERITIES, merged

SHARE = 0.7
"""Of the time limit, what is spent on schedules; loading an engine takes some seconds."""

_WHY = {
    "operation-loses": "after the operation a token that survives answers no more.",
    "operation-moves": "after the operation tokens answer with other tokens' rows.",
    "operation-forgets-not": "a token that the operation took away still answers.",
    "operation-fails-late": "the operation was accepted, and a later operation raises.",
    "operation-refused": "the operation raises: no token is lost, and nothing is done.",
}
CODES = tuple(_WHY)
_LIVE = (
    "The model's rotary embedding was alive (base 2, frequencies times 2.5), so that positions "
    "count. Where an operation moved tokens, no certificate says that the scale separates them."
)


@dataclass
class EngineReport:
    """What the trials of an engine came to.

    Attributes:
        target: as it was given.
        versions: of the packages that did the work.
        trials: plain data of ``engines.Trial``, in the order in which they ended.
        findings: one for each kind of fault, the worst first.
        first: seconds until the first error was seen; None without one.
        seconds: how long it all took.
        ended: why it ended before its time; "" if it did not.
    """

    target: str
    versions: dict[str, str] = field(default_factory=dict)
    trials: list[dict[str, Any]] = field(default_factory=list)
    first: float | None = None
    seconds: float = 0.0
    ended: str = ""

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Merged over ways and families."""
        return merged([one for trial in self.trials for one in trial["findings"]])

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Those that break the law and lose something."""
        return [one for one in self.findings if one["severity"] == "error"]

    @property
    def schedules(self) -> int:
        """How many were performed."""
        return sum(sum(trial["tried"].values()) for trial in self.trials)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "schema": 1,
            "target": self.target,
            "ok": not self.errors and not self.ended,
            "versions": self.versions,
            "schedules": self.schedules,
            "first_error_seconds": self.first,
            "seconds": round(self.seconds, 1),
            "ended": self.ended,
            "findings": self.findings,
            "trials": self.trials,
        }

    def text(self) -> str:
        """For people: the findings, then the table of what was tried."""
        parts = [_found(one) for one in self.findings]
        said = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        parts.append(f"{self.target} ({said})\n" + "\n".join(self._table()))
        parts.append(self._sentence())
        if any(one["severity"] == "error" and not one["certified"] for one in self.findings):
            parts.append(_LIVE)
        return "\n\n".join(parts)

    def _table(self) -> Iterator[str]:
        rows: dict[str, dict[str, Any]] = {}
        for trial in self.trials:
            row = rows.setdefault(trial["way"] or "as it is", {"tried": 0, "whole": True, "by": {}})
            row["tried"] += sum(trial["tried"].values())
            row["whole"] &= trial["whole"]
            for one in trial["findings"]:
                row["by"][one["severity"]] = row["by"].get(one["severity"], 0) + 1
        width = max(map(len, rows), default=0)
        for way, row in rows.items():
            found = ", ".join(f"{n} {name}{'s' * (n > 1)}" for name, n in row["by"].items())
            left = "" if row["whole"] else " (time was up before all were tried)"
            yield f"  {way:{width}}  {row['tried']:4d} schedules: {found or 'kept'}{left}"

    def _sentence(self) -> str:
        counts = dict.fromkeys(("error", "warning", "note"), 0)
        for one in self.findings:
            counts[one["severity"]] += 1
        total = ", ".join(f"{n} {name}{'s' * (n > 1)}" for name, n in counts.items() if n)
        first = "" if self.first is None else f" The first error was seen after {self.first:.1f} s."
        end = f" {self.ended}" if self.ended else ""
        return (
            f"{self.schedules} schedules in {self.seconds:.0f} s: {total or 'all kept'}.{first} A "
            f"fault that only another schedule shows is not excluded.{end}"
        )


def _found(one: Mapping[str, Any]) -> str:
    ways = "; ".join(one["ways"])
    return (
        f"{one['severity']}: {one['detail']} [{one['code']}]\n"
        f"  ways:      {ways}\n"
        f"  why:       {_WHY[one['code']]}\n"
        f"  schedule:  {json.dumps(one['schedule'])}"
    )


def check_engine(
    target: str,
    params: Mapping[str, Any] | None = None,
    *,
    seconds: float = 120.0,
    heard: Callable[[str], None] = lambda sentence: None,
) -> EngineReport:
    """Let an engine live through schedules of operations, where it is installed.

    Args:
        target: ``hf:..``, ``kvpress:..``, ``llamacpp:..`` or ``codec:..``.
        params: its own parameters.
        seconds: wall clock for all of it.
        heard: gets each error as a sentence, as soon as it is seen.

    Raises:
        BadInput: there is no such target or parameter, or the engine is not installed.
        PluginFailure: the engine fails before anything is done to it.
    """
    python = interpreter_of(target)
    order = {
        "target": target, "params": dict(params or {}), "seconds": SHARE * seconds,
        "limit": seconds,
    }  # fmt: skip
    report = EngineReport(target)
    private = tempfile.mkdtemp(prefix="kvbarrier-engine-")
    for name in ("home", "tmp"):
        os.mkdir(f"{private}/{name}")
    try:
        _listen(python, order, seconds, private, report, heard)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return report


def _listen(
    python: str | None, order: dict[str, Any], seconds: float, private: str,
    report: EngineReport, heard: Callable[[str], None],
) -> None:  # fmt: skip
    import sys

    began = time.monotonic()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [python or sys.executable, "-P", "-m", f"{__package__}.engine_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(private),
            start_new_session=True,
        ) as process,
    ):
        alarm = _alarm(process, seconds + GRACE)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(order).encode())
            process.stdin.close()
            done = _hear(process.stdout, report, heard, began)
        finally:
            alarm()
            _end_group(process.pid)
        process.wait()
        report.seconds = time.monotonic() - began
        if not done:
            late = report.seconds >= seconds
            report.ended = (
                "The time limit ended it." if late else _last_words(process.returncode, errors)
            )


def _hear(
    lines: IO[bytes], report: EngineReport, heard: Callable[[str], None], began: float
) -> bool:
    """Take in what the process says; whether it said that it is done."""
    told: set[str] = set()
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if not _is_ours(said):
            raise PluginFailure(f"The process of {report.target} says what no check says.")
        if "bad_input" in said:
            raise BadInput(said["bad_input"])
        if "failed" in said:
            raise PluginFailure(said["failed"])
        report.versions = said.get("versions", report.versions)
        if "trial" in said:
            report.trials.append(said["trial"])
            for one in said["trial"]["findings"]:
                if one["severity"] == "error":
                    if report.first is None:
                        report.first = round(time.monotonic() - began, 1)
                    if one["detail"] not in told:
                        heard(one["detail"])
                    told.add(one["detail"])
        if "done" in said:
            return True
    return False


def _is_ours(said: Any) -> bool:
    """Whether a line has the fields and types that :mod:`.engine_child` says; others are there."""
    if type(said) is not dict or len(said) != 1:
        return False
    ((name, value),) = said.items()
    if name == "versions":
        return _is_of(value, str)
    return _is_trial(value) if name == "trial" else name in _WORDS and type(value) is _WORDS[name]


_WORDS = {"bad_input": str, "failed": str, "done": bool}
_TRIAL = {"way": str, "tried": dict, "findings": list, "seconds": float, "whole": bool}
_FINDING = {
    "code": str, "severity": str, "detail": str, "way": str, "certified": bool,
    "reproduction": list, "schedule": dict, "times": int,
}  # fmt: skip


def _is_trial(said: Any) -> bool:
    return (
        _has(said, _TRIAL)
        and _is_of(said["tried"], int)
        and all(
            _has(one, _FINDING)
            and one["code"] in _WHY
            and one["severity"] in SEVERITIES
            and all(type(step) is str and step.split() for step in one["reproduction"])
            for one in said["findings"]
        )
    )


def _has(said: Any, types: Mapping[str, type]) -> bool:
    return type(said) is dict and all(type(said.get(name)) is kind for name, kind in types.items())


def _is_of(said: Any, kind: type) -> bool:
    return type(said) is dict and {type(one) for one in said.values()} <= {kind}


def _alarm(process: subprocess.Popen[bytes], seconds: float) -> Callable[[], None]:
    """End the process when its time is up; returns what calls that off."""
    from threading import Timer

    timer = Timer(seconds, lambda: _end_group(process.pid))
    timer.daemon = True
    timer.start()
    return timer.cancel


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _last_words(code: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    tail = errors.read()[-400:].decode(errors="replace").strip().splitlines()
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return f"Its process {how}" + (f": {tail[-1]}" if tail else ".")
