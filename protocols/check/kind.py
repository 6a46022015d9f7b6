"""A kind of finding: its code, how bad it is, when it is raised, why it matters, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Kind:
    """A kind of finding, without its particulars."""

    code: str
    severity: Severity
    title: str
    raised_if: str
    why: str
    what_to_do: str
