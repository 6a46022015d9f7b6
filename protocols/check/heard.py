"""What the process of a check says: each line out of it is read here and only here.

A stranger's code runs in that process and can write what it likes to its descriptors. So a line is
known by its fields, exact types and sizes beforehand; any other line ends the hearing and is a
finding, never an error of ours. Nobody can close that process off from the code that it examines:
who writes "nothing was found" there on purpose deceives himself alone, and no attack.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput, HarnessFault
from ..players.play import one_line
from .explain import Explained, Part
from .fault import PLACES, Fault
from .findings import KINDS, Finding, Tried, finding

_TEXT = 1 << 14
_MOST = 1 << 31
_MANY = 1 << 16
_MESSAGE = 1 << 28


class BadLine(Exception):
    """A line that no check says."""


@dataclass
class Phase:
    """What one process said before it ended.

    Attributes:
        knows_keys: its target reads the game's public keys.
        kept: one of its messages with what belongs to it, for a process that has nothing else.
        answers: what that one answered, by the name of what it restored.
        again: what it said on a second life, as text.
        explained: its message, part by part.
        codes: findings of the contract's probes, (code, detail).
        faults: those of the laws, each with its rung.
        tried: the rungs that were tried.
        holds, untried: what is held in words, and what was not tried.
        doing: its step.
        done: it came to its end.
        wrong: what is wrong with one of its lines; nothing after that line was read.
    """

    knows_keys: bool = False
    kept: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    again: str | None = None
    explained: Explained | None = None
    codes: list[tuple[str, str]] = field(default_factory=list)
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    holds: str | None = None
    doing: str = "importing it"
    done: bool = False
    wrong: str = ""

    def hear(self, line: bytes) -> None:
        """Take in one line; a torn one, of a process that was killed, is left out.

        Raises:
            BadInput: there is no such target or parameter.
            HarnessFault: our own code failed there.
        """
        if self.wrong:
            return
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return
        try:
            self._take(said)
        except BadLine as bad:
            self.wrong = str(bad)

    def findings(self) -> list[Finding]:
        """Those of the contract's probes."""
        return [finding(code, detail) for code, detail in self.codes]

    def _take(self, said: Any) -> None:
        names = set(said) if type(said) is dict else set()
        read = _READERS.get(frozenset(names))
        if read is None:
            raise BadLine("a line does not have the fields of a check")
        read(self, said)

    def _bad_input(self, said: dict[str, Any]) -> None:
        raise BadInput(_text(said["bad_input"]))

    def _ours(self, said: dict[str, Any]) -> None:
        raise HarnessFault(one_line(_text(said["ours"]), 1000))

    def _fault(self, said: dict[str, Any]) -> None:
        from .examination import LADDER

        rung = _text(said["rung"])
        if rung not in {one.name for one in LADDER}:
            raise BadLine("it names an unknown law")
        self.faults.append((rung, _fault(said["fault"])))

    def _tried(self, said: dict[str, Any]) -> None:
        told = _exactly(said["tried"], *(one.name for one in fields(Tried)))
        name, title, outcome = (_text(told[word]) for word in ("name", "title", "outcome"))
        self.tried.append(Tried(name, title, outcome, _seconds(told["seconds"])))

    def _holds(self, said: dict[str, Any]) -> None:
        self.holds = _maybe(said["holds"])
        self.untried = [_text(one) for one in _list(said["untried"])]

    def _explained(self, said: dict[str, Any]) -> None:
        told = _exactly(said["explained"], *(one.name for one in fields(Explained)))
        parts = []
        for one in _list(told["parts"]):
            part = _exactly(one, *(each.name for each in fields(Part)))
            packed = None if part["packed"] is None else _count(part["packed"])
            parts.append(
                Part(_text(part["name"]), _text(part["kind"]), _count(part["length"]), packed)
            )
        length, payload = _count(told["length"]), _count(told["payload"])
        self.explained = Explained(length, payload, _truth(told["own_save"]), tuple(parts))

    def _code(self, said: dict[str, Any]) -> None:
        code = _text(said["code"])
        if code not in KINDS:
            raise BadLine("it names an unknown kind of finding")
        self.codes.append((code, _text(said["detail"])))

    def _message(self, said: dict[str, Any]) -> None:
        cut = said["cut"]
        self.kept = {
            "message": _hexadecimal(said["message"]),
            "cut": None if cut is None else _hexadecimal(cut),
            "outputs": _numbers(said["outputs"]).tolist(),
        }

    def _answered(self, said: dict[str, Any]) -> None:
        self.answers[_text(said["answered"])] = _numbers(said["outputs"])

    def _facts(self, said: dict[str, Any]) -> None:
        told = _exactly(said["facts"], "name", "knows_keys")
        _text(told["name"])
        self.knows_keys = _truth(told["knows_keys"])

    def _probe(self, said: dict[str, Any]) -> None:
        self.doing = one_line(_text(said["probe"])).rstrip(".")

    def _again(self, said: dict[str, Any]) -> None:
        if type(said["again"]) is not str:
            raise BadLine("a text field is not text")
        self.again = said["again"]

    def _done(self, said: dict[str, Any]) -> None:
        self.done = _truth(said["done"])


_READERS = {
    frozenset(names.split()): read
    for names, read in {
        "bad_input": Phase._bad_input,
        "ours": Phase._ours,
        "fault rung": Phase._fault,
        "tried": Phase._tried,
        "holds untried": Phase._holds,
        "explained": Phase._explained,
        "code detail": Phase._code,
        "message cut outputs": Phase._message,
        "answered outputs": Phase._answered,
        "facts": Phase._facts,
        "probe": Phase._probe,
        "again": Phase._again,
        "done": Phase._done,
    }.items()
}


def _fault(said: Any) -> Fault:
    told = _exactly(said, *(one.name for one in fields(Fault)))
    code = _text(told["code"])
    if code not in KINDS:
        raise BadLine("it names an unknown kind of fault")
    places = {
        name: None if told[name] is None else tuple(map(_count, _list(told[name])))
        for name in PLACES
    }
    steps = tuple(_text(one) for one in _list(told["reproduction"]))
    return Fault(
        code, _text(told["detail"]), **places, operation=_maybe(told["operation"]),
        reproduction=steps,
    )  # fmt: skip


def _exactly(said: Any, *names: str) -> dict[str, Any]:
    if type(said) is not dict or set(said) != set(names):
        raise BadLine(f"a field must have {', '.join(names)}")
    return said


def _text(said: Any) -> str:
    """Lines of a text, the first part of a long one."""
    if type(said) is not str:
        raise BadLine("a text field is not text")
    return "".join(c if c.isprintable() or c == "\n" else " " for c in said[:_TEXT])


def _maybe(said: Any) -> str | None:
    return None if said is None else _text(said)


def _truth(said: Any) -> bool:
    if type(said) is not bool:
        raise BadLine("a true-or-false field is neither")
    return said


def _count(said: Any) -> int:
    if type(said) is not int or not 0 <= said < _MOST:
        raise BadLine("a number field is not a whole number, or out of range")
    return said


def _seconds(said: Any) -> float:
    if type(said) is not float or not 0 <= said < math.inf:
        raise BadLine("a time field is not a time")
    return said


def _list(said: Any) -> list[Any]:
    if type(said) is not list or len(said) > _MANY:
        raise BadLine("a list field is not a list, or too long")
    return said


def _hexadecimal(said: Any) -> str:
    if type(said) is not str or len(said) > _MESSAGE:
        raise BadLine("a message field is not text, or too long")
    try:
        bytes.fromhex(said)
    except ValueError:
        raise BadLine("a message field is not hexadecimal bytes") from None
    return said


def _numbers(said: Any) -> NDArray[np.float64]:
    try:
        found = np.array(_list(said), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise BadLine("the answers are not numbers") from None
    return found
