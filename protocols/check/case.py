"""A counterexample as plain data, and what its replay came to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...files import write_whole

SCHEMA = 1
MARK = "kvbarrier_case"


@dataclass(frozen=True)
class Case:
    """A counterexample.

    Attributes:
        kind: how it is played, one of :data:`KINDS`.
        target: as on the command line, without a folder.
        play: what its kind needs. Of ``game``: ``cell`` (its spec), ``key`` (hexadecimal),
            ``message``.
        declares: the words of the declaration that it refutes.
        question: where: ``token``, ``layer``, ``head``, ``channel``; None of a case without one.
        expected: the bit that was stored.
        read: the bit that was read.
        answered: the coordinate of the answer, or None where a bit has none.
        found: one sentence.
        versions: of what played it.
    """

    kind: str
    target: str
    play: Mapping[str, Any]
    declares: tuple[str, ...]
    question: Mapping[str, int] | None
    expected: int | None
    read: int | None
    answered: float | None
    found: str
    versions: Mapping[str, str]

    def text(self) -> str:
        """The file's content."""
        said = {MARK: SCHEMA, **asdict(self)}
        return json.dumps(said, indent=2, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Write the file. Raises BadInput for what the system refuses."""
        write_whole(path, self.text())

    @property
    def name(self) -> str:
        """A file name that no other case has."""
        return f"kvbarrier-case-{hashlib.sha256(self.text().encode()).hexdigest()[:8]}.json"


@dataclass(frozen=True)
class Replayed:
    """Whether a case still fails, and one sentence."""

    fails: bool
    sentence: str
