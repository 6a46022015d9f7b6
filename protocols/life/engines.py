"""The operations of a released engine: each way of using a target, each family of schedules.

Runs where the engine is installed. What breaks the law is shrunk, and where the model has a live
rotary embedding the tokens that are lost are asked for again some places away: tokens that answer
there have moved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...compressors.engines.engine import asked_behind
from ...compressors.engines.schemes import scheme_of
from ...compressors.engines.way import Way
from ...compressors.plugin.contract import Compressor, Shape
from ...compressors.plugin.values import parse_query
from ...compressors.targets import Target, resolve
from ...errors import BadInput
from .examine import Finding, Life, examine, hard_for
from .oracle import Oracle
from .perform import Performance, Stage
from .schedule import Schedule
from .shrink import shrink

D = 64
"""Coordinates of a head: every block of every format divides it."""

FAMILIES = ("speculate", "beam", "shift", "save", "turns", "chunks", "random")
"""Those that use more operations come first."""
_EACH, _RANDOM = 2, 16
_FURTHEST = 24
_QUESTIONS = (1, 3, 8)


@dataclass(frozen=True)
class Trial:
    """One way and one family, with what came of it.

    Attributes:
        way: see ``compressors.engines.way``.
        family: of schedules.
        schedules: how many were performed.
        findings: faults and refusals, as plain data (:func:`told`).
        seconds: how long it took.
        whole: whether all that was planned was tried.
    """

    way: str
    family: str
    schedules: int
    findings: tuple[dict[str, Any], ...]
    seconds: float
    whole: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "way": self.way, "family": self.family, "schedules": self.schedules,
            "findings": list(self.findings), "seconds": round(self.seconds, 2),
            "whole": self.whole,
        }  # fmt: skip


def trials(
    target: str,
    params: Mapping[str, Any],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Trial]:
    """Try an engine's target in all its ways, the families one after the other.

    A round of one family goes through all ways first, so that the first fault is seen early.

    Raises:
        BadInput: there is no such target or parameter.
        PluginFailure: the engine fails when it is only fed tokens.
    """
    ways = list(_ways(target, params))
    end = clock() + seconds
    order = [
        (way, family)
        for family in FAMILIES
        for way in ways
        if not way.questions and (way.families is None or family in way.families)
    ]
    for way in ways:
        if way.questions:
            yield _questions(target, way, clock)
    for at, (way, family) in enumerate(order):
        left = end - clock()
        if left <= 0:
            yield Trial(way.words, family, 0, (), 0.0, whole=False)
            continue
        yield _family(target, way, family, max(2.0, left / (len(order) - at)), clock)


def _ways(target: str, params: Mapping[str, Any]) -> Iterator[Way]:
    scheme = scheme_of(target)
    if scheme is None:
        raise BadInput(f"{target} is no engine's target: check it as a plug-in.")
    text, mark, query = target.partition("?")
    given = {**(parse_query(query, target) if mark else {}), **params}
    yield from scheme.ways(text.partition(":")[2], given)


def versions(target: str, params: Mapping[str, Any]) -> dict[str, str]:
    """The packages that do the work, and their versions."""
    way = next(_ways(target, params))
    made = _built(target, way)[1](Shape(tokens=1, d_k=D, d_v=D, layers=way.layers))
    said: dict[str, str] = getattr(made, "inner", made).versions()
    return said


def _built(target: str, way: Way) -> tuple[Target, Callable[[Shape], Compressor]]:
    found = resolve(target.partition("?")[0], way.params)
    return found, lambda shape: found.factory(shape, None, 0, {})


def _family(
    target: str, way: Way, family: str, seconds: float, clock: Callable[[], float]
) -> Trial:
    began = clock()
    _, build = _built(target, way)
    shape = Shape(tokens=way.tokens, d_k=D, d_v=D, layers=way.layers)
    life = examine(
        build, shape, tokens=way.tokens, families=(family,), each=_EACH, random=_RANDOM,
        seconds=seconds, clock=clock,
    )  # fmt: skip
    stage = Stage(build, hard_for(way.tokens, D, way.layers)[0])
    findings = [told(one, way, stage) for one in (*life.faults, *life.refusals)]
    return Trial(
        way.words, family, _performed(life), tuple(findings), clock() - began, life.whole
    )


def _performed(life: Life) -> int:
    return sum(life.tried.values())


def _questions(target: str, way: Way, clock: Callable[[], float]) -> Trial:
    """A prompt, then questions that are taken back: ``extend n, append 3, crop n, ..``."""
    began = clock()
    _, build = _built(target, way)
    n = way.tokens - 2 * max(_QUESTIONS)
    hard = hard_for(way.tokens, D, way.layers)[0]
    stage = Stage(build, hard, room=n)
    findings, performed = [], 0
    for count in (1, 2, 3):
        rounds = ", ".join(f"append {m}, ask, crop {n}" for m in _QUESTIONS[:count])
        performed += 1
        shown = stage.perform(Schedule.of(f"extend {n}, {rounds}"))
        if shown.outcome.kind == "kept":
            continue
        kind = shown.outcome.kind
        schedule = shrink(
            shown.schedule,
            lambda one, kind=kind: _prompted(one, n) and stage.perform(one).outcome.kind == kind,
        )
        finding = Finding("questions", stage.perform(schedule), shown.schedule)
        findings.append(told(finding, way, stage))
        break
    return Trial(way.words, "questions", performed, tuple(findings), clock() - began)


def _prompted(schedule: Schedule, n: int) -> bool:
    """Whether the prompt is whole: it is pressed at once."""
    first = schedule.operations[:1]
    kept = all(one.arguments[0] >= n for one in schedule.operations if one.name == "crop")
    return bool(first) and str(first[0]) == f"extend {n}" and kept


def told(finding: Finding, way: Way, stage: Stage) -> dict[str, Any]:
    """A finding as plain data: what, where, after what, and how to see it again."""
    shown, outcome = finding.performance, finding.performance.outcome
    away = _behind(shown, stage) if way.params.get("rotary") == "live" else 0
    sentence = finding.sentence
    if away:
        where = f"{abs(away)} place{'s' if abs(away) > 1 else ''}"
        sentence += f"; asked for {where} too far {'back' if away > 0 else 'forward'} they answer"
    return {
        "code": _CODES[outcome.kind],
        "severity": _severity(shown),
        "way": way.words,
        "params": dict(way.params),
        "operation": finding.operation,
        "detail": sentence,
        "tokens": list(outcome.lost),
        "ghosts": list(outcome.ghosts),
        "places": away,
        "lost_bits": outcome.lost_bits,
        "certified": way.params.get("rotary") != "live",
        "reproduction": [str(one) for one in shown.schedule.operations],
        "schedule": shown.schedule.as_dict(),
        "times": finding.times,
    }


_CODES = {
    "lost": "operation-loses",
    "moved": "operation-moves",
    "ghosts": "operation-forgets-not",
    "late": "operation-fails-late",
    "refused": "operation-refused",
}


def _severity(shown: Performance) -> str:
    """A refusal loses nothing, and who raises late when nothing is held has lost nothing yet."""
    if not shown.is_fault:
        return "note"
    held = any(any(batch) for batch in Oracle.after(shown.schedule).instances)
    return "error" if held or shown.outcome.kind != "late" else "warning"


def _behind(shown: Performance, stage: Stage) -> int:
    """How many places too far back most of the lost tokens stand; 0 if they answer nowhere."""
    if shown.outcome.kind != "lost":
        return 0
    best, most = 0, len(shown.outcome.lost) // 2
    for places in sorted(range(-_FURTHEST, _FURTHEST + 1), key=abs)[1:]:
        with asked_behind(places):
            still = set(stage.perform(shown.schedule).outcome.lost)
        answers = len(set(shown.outcome.lost) - still)
        if answers > most:
            best, most = places, answers
    return best


def merged(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One finding for each code, operation and severity, the shortest; ``ways`` says in which."""
    by_key: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in found:
        names = {step.split()[0] for step in one["reproduction"]}
        key = one["code"], *sorted(names - {"append", "append-each", "switch", "ask", "extend"})
        known = by_key.get(key)
        ways = [*(known["ways"] if known else []), one["way"] or "as it is"]
        times = one["times"] + (known["times"] if known else 0)
        best = min((known, one), key=_length) if known else one
        by_key[key] = {**best, "ways": list(dict.fromkeys(ways)), "times": times}
    return sorted(by_key.values(), key=lambda one: (_ORDER.index(one["severity"]), _length(one)))


_ORDER = ("error", "warning", "note")


def _length(one: dict[str, Any]) -> tuple[int, int]:
    return len(one["reproduction"]), len(one["detail"])
