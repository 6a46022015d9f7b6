"""Findings, and the report of a check."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .fault import Fault
from .kind import SEVERITIES, Kind, Severity
from .kinds import KINDS, table
from .wrapping import wrapped

__all__ = [
    "KINDS",
    "CheckReport",
    "Finding",
    "Kind",
    "Severity",
    "Tried",
    "finding",
    "of_fault",
    "table",
]


@dataclass(frozen=True)
class Finding(Fault, Kind):
    """One finding: its kind's words, and what happened here.

    ``severity``: an ``error`` breaks an attack or makes its numbers mean something else, or is a
    fault of the cache; a ``warning`` makes a compressor look worse than it is; a ``note`` says what
    was left out. ``law``: the rung that found it; None for the contract's probes.
    """

    law: str | None = None


def finding(code: str, detail: str) -> Finding:
    """Make a finding of a kind.

    >>> finding("hangs", "in attend").title
    'It does not come to an end'
    """
    return Finding(**asdict(KINDS[code]), detail=detail)


def of_fault(fault: Fault, law: str | None = None) -> Finding:
    """The finding that a fault is, of a law.

    >>> of_fault(Fault("hole", "token 31 is lost.", tokens=(31,))).tokens
    (31,)
    """
    return Finding(**asdict(KINDS[fault.code]) | fault.as_dict(), law=law)


NO_TIME = "no time"
"""What came of a rung that was not tried to its end."""


@dataclass(frozen=True)
class Tried:
    """One rung of the ladder: what was tried, what came of it, in how many seconds."""

    name: str
    title: str
    outcome: str
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether it was tried to its end."""
        return self.outcome != NO_TIME


@dataclass(frozen=True)
class CheckReport:
    """What a check found, in the order in which it tried things.

    Attributes:
        target: as it was named.
        findings: what was found.
        tried: the rungs of the examination, in order; none if the contract is broken before.
        holds: what the cache holds, in words, as far as it was read.
        untried: what was not tried, and why.
    """

    target: str
    findings: tuple[Finding, ...]
    tried: tuple[Tried, ...] = ()
    holds: str | None = None
    untried: tuple[str, ...] = field(default=())

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that break an attack, and the faults of the cache."""
        return tuple(one for one in self.findings if one.severity == "error")

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def __repr__(self) -> str:
        return f"<check of {self.target}: {self._total()}>"

    def __str__(self) -> str:
        return self.text()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "schema": 2,
            "target": self.target,
            "ok": self.ok,
            "findings": [asdict(one) for one in self.findings],
            "holds": self.holds,
            "tried": [asdict(one) for one in self.tried],
            "untried": list(self.untried),
        }

    def text(self) -> str:
        """For people, at 80 columns: every finding with its reasons, then what was tried."""
        parts = [_told(one) for one in self.findings]
        if self.tried:
            parts.append("\n".join(_row(one) for one in self.tried))
        holds = [f"holds: {self.holds}"] if self.holds else []
        untried = [wrapped("not tried: " + one, "  ") for one in dict.fromkeys(self.untried)]
        if not (self.tried or self.untried):
            untried.append("not tried: the laws of the examination, for what was found before.")
        end = f"{self.target}: {self._total()}."
        return "\n\n".join([*parts, "\n".join([*holds, *untried, end])])

    def _total(self) -> str:
        counts = {kind: sum(one.severity == kind for one in self.findings) for kind in SEVERITIES}
        total = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items() if n)
        return total or "nothing was found"


def _row(one: Tried) -> str:
    return f"  {one.title:<44}{one.outcome:<22}{one.seconds:6.2f} s"


def _told(one: Finding) -> str:
    lines = [
        f"{one.severity}: {one.title} [{one.code}]",
        _field("here", one.detail),
        _field("raised if", one.raised_if),
        _field("why", one.why),
        _field("what to do", one.what_to_do),
    ]
    if one.reproduction:
        lines.append(_field("see it", "; ".join(one.reproduction)))
    return "\n".join(lines)


def _field(name: str, text: str) -> str:
    return wrapped(f"  {name + ':':<12}{text}", " " * 14)
