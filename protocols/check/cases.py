"""Counterexamples as small files that others can replay: ``kvbarrier check --case FILE``.

A case is JSON: a target, what to play, what was asked, what was expected and what came. It names no
path, so whoever replays a case of a plug-in has its file, and it holds no code. ``kind`` says how
it is played: ``game`` is a message of a game, a pure function of its cell, key and number;
``check`` is a law of an examination (``check_cases``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...compressors.plugin.declaration import Declaration
from ...errors import BadInput
from ...files import write_whole

SCHEMA = 1
_LONGEST = 1 << 20
_MARK = "kvbarrier_case"

KINDS = ("game", "check")
"""How a case is played: see ``replay_case``."""


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
        said = {_MARK: SCHEMA, **asdict(self)}
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


def read_case(path: Path) -> Case:
    """Read a case file. Raises BadInput for a torn one, one of another schema, and anything else.

    Nothing of it is played or believed here: it may come from anybody.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): name a case file.") from None
    try:
        said = json.loads(data) if len(data) <= _LONGEST else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or _MARK not in said:
        raise BadInput(f"{path} is no case, or a torn one: give a file that kvbarrier wrote.")
    if said.pop(_MARK) != SCHEMA:
        raise BadInput(f"{path} is a case of another version of kvbarrier: use that one.")
    try:
        case = Case(**said | {"declares": tuple(said["declares"])})
        _check(case)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is no whole case ({error}): give the file as it was.") from None
    return case


def _check(case: Case) -> None:
    for name in ("kind", "target", "found"):
        if not isinstance(getattr(case, name), str):
            raise ValueError(f"{name} is no text")
    if not isinstance(case.play, dict) or not isinstance(case.versions, dict):
        raise ValueError("play and versions are not both objects")
    if case.kind not in KINDS:
        raise ValueError(f"this version cannot play the kind '{case.kind[:40]}'")
    Declaration.of_words(case.declares)
