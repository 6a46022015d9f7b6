"""The operations of a released engine: each way of using a target, each family of schedules.

Runs where the engine is installed. What breaks the law is shrunk, and where the model has a live
rotary embedding the tokens that are lost are asked for again some places away: tokens that answer
there have moved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compressors.engines.engine import asked_behind
from ...compressors.engines.schemes import scheme_of
from ...compressors.engines.way import Way
from ...compressors.plugin.contract import Compressor, Shape
from ...compressors.plugin.operations import operations_of
from ...compressors.plugin.values import parse_query
from ...compressors.targets import Target, resolve
from ...errors import BadInput
from ..evidence.record import Reading
from .examine import Finding, examine, hard_for
from .oracle import Oracle
from .perform import Performance, Stage
from .schedule import Schedule
from .shrink import shrink

D = 64
"""Coordinates of a head: every block of every format divides it."""

GROUPS = (("speculate", "turns"), ("beam",), ("shift", "save", "chunks"), ("random",))
"""What is tried one after the other: the families that use more operations come first."""
_EACH, _RANDOM = 2, 30
_MOST_RUNS = 150
_LEAST = 4.0
_FURTHEST = 24
_EXACT = 0.25
_QUESTIONS = (1, 3, 8)


@dataclass(frozen=True)
class Trial:
    """One way and some families, with what came of it.

    Attributes:
        way: see ``compressors.engines.way``.
        tried: how many schedules of each family were performed.
        findings: faults and refusals, as plain data (:func:`told`).
        seconds: how long it took.
        whole: whether all that was planned was tried.
    """

    way: str
    tried: dict[str, int]
    findings: tuple[dict[str, Any], ...]
    seconds: float
    whole: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "way": self.way, "tried": dict(self.tried), "findings": list(self.findings),
            "seconds": round(self.seconds, 2), "whole": self.whole,
        }  # fmt: skip


def trials(
    target: str,
    params: Mapping[str, Any],
    seconds: float,
    clock: Callable[[], float] = time.process_time,
) -> Iterator[Trial]:
    """Try an engine's target in all its ways, the families one after the other.

    ``seconds`` are the processor's, so that what is tried hardly depends on who else is at work;
    nothing new is begun after as many by the clock on the wall, either.
    What every way does comes before what chance does, so that the first fault is seen early.

    Raises:
        BadInput: there is no such target or parameter.
        PluginFailure: the engine fails when it is only fed tokens.
    """
    ways = list(_ways(target, params))
    end, late = clock() + seconds, time.monotonic() + seconds
    order = []
    for group in GROUPS:
        for way in ways:
            families = tuple(f for f in group if way.families is None or f in way.families)
            if families and not way.questions:
                order.append((way, families))
    for way in ways:
        yield _questions(target, way, clock) if way.questions else _usual(target, way, clock)
    for at, (way, families) in enumerate(order):
        left = end - clock()
        if left <= 0 or time.monotonic() > late:
            yield Trial(way.words, dict.fromkeys(families, 0), (), 0.0, whole=False)
            continue
        yield _lived(target, way, families, max(_LEAST, left / (len(order) - at)), clock)


def _ways(target: str, params: Mapping[str, Any]) -> Iterator[Way]:
    scheme = scheme_of(target)
    if scheme is None:
        raise BadInput(f"{target} is not the target of an engine: check it as a plug-in.")
    text, mark, query = target.partition("?")
    given = {**(parse_query(query, target) if mark else {}), **params}
    yield from scheme.ways(text.partition(":")[2], given)


def versions(target: str, params: Mapping[str, Any]) -> dict[str, str]:
    """The packages that do the work, and their versions."""
    way = next(_ways(target, params))
    made: Any = _built(target, way)[1](Shape(tokens=1, d_k=D, d_v=D, layers=way.layers))
    said: dict[str, str] = getattr(made, "inner", made).versions()
    return said


def _built(target: str, way: Way) -> tuple[Target, Callable[[Shape], Compressor]]:
    found = resolve(target.partition("?")[0], way.params)
    return found, lambda shape: found.factory(shape, None, 0, {})


def _lived(
    target: str, way: Way, families: tuple[str, ...], seconds: float, clock: Callable[[], float]
) -> Trial:
    began = clock()
    _, build = _built(target, way)
    life = examine(
        build, Shape(tokens=way.tokens, d_k=D, d_v=D, layers=way.layers), tokens=way.tokens,
        families=families, each=_EACH, random=_RANDOM, seconds=seconds, clock=clock,
    )  # fmt: skip
    stage = Stage(build, hard_for(way.tokens, D, way.layers)[0])
    findings = tuple(told(one, way, stage) for one in (*life.faults, *life.refusals))
    return Trial(way.words, life.tried, findings, clock() - began, life.whole)


def _usual(target: str, way: Way, clock: Callable[[], float]) -> Trial:
    """What engines do every day and no family draws.

    A batch of prompts that differ, reordered or saved once it was decoded from; drafts that are
    rejected, once and twice in a row; another conversation in the same cache.
    """
    n, q = way.tokens, way.tokens // 4
    lines: list[tuple[str, int | None]] = [
        (f"extend {q}, append 5, crop {q + 2}, append 2", None),
        # Asked at once: two more tokens would fill a window up again.
        (f"extend {n - 4}, crop {n - 6}, crop {n - 8}", None),
    ]
    lines.append((f"extend {n // 2}, append 2, reset, extend {q}, append 2", None))
    if way.families is None or "beam" in way.families:
        own = q - 4
        lines.insert(0, (f"extend-each {own}, append-each 2, select 2 0 1, append-each 1", 3))
        lines.insert(1, (f"extend-each {own}, append-each 2, select 0 0 1 1, append-each 1", 2))
        lines.insert(2, (f"extend-each {own}, append-each 2, save", 3))
    schedules = [Schedule.of(line, sequences) for line, sequences in lines]
    build = _built(target, way)[1]
    stage = Stage(build, hard_for(n, D, way.layers)[0])
    can = operations_of(build(stage.hard.shape(n)))
    schedules = [one for one in schedules if set(one.needs) <= set(can)]
    return _performed("usual", schedules, way, stage, clock)


def _questions(target: str, way: Way, clock: Callable[[], float]) -> Trial:
    """A prompt, then questions that are taken back: ``extend n, append 3, crop n, ..``."""
    n = way.tokens - 2 * max(_QUESTIONS)
    stage = Stage(_built(target, way)[1], hard_for(way.tokens, D, way.layers)[0], room=n)
    schedules = []
    for count in range(1, len(_QUESTIONS) + 1):
        rounds = ", ".join(f"append {m}, ask, crop {n}" for m in _QUESTIONS[:count])
        schedules.append(Schedule.of(f"extend {n}, {rounds}"))
    return _performed("questions", schedules, way, stage, clock, lambda one: _prompted(one, n))


def _performed(
    family: str, schedules: Sequence[Schedule], way: Way, stage: Stage,
    clock: Callable[[], float], allowed: Callable[[Schedule], bool] = lambda one: True,
) -> Trial:  # fmt: skip
    """Perform schedules; shrink those that break the law, as far as that is allowed."""
    began, findings = clock(), []
    for schedule in schedules:
        shown = stage.perform(schedule)
        kind = shown.outcome.kind
        if kind == "kept":
            continue

        def fails(one: Schedule, kind: str = kind) -> bool:
            return allowed(one) and stage.perform(one).outcome.kind == kind

        shortest = shrink(shown.schedule, fails, _MOST_RUNS) if shown.is_fault else shown.schedule
        finding = Finding(family, stage.perform(shortest), shown.schedule)
        findings.append(told(finding, way, stage))
    return Trial(way.words, {family: len(schedules)}, tuple(findings), clock() - began)


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
    """How many places too far back the tokens stand that are lost; 0 if they answer nowhere.

    Of all places where most of them answer, the one where the answers are nearest to their rows:
    beside few other tokens one is found some places off as well, but not exactly.
    """
    if shown.outcome.kind != "lost":
        return 0
    bad = [_bad(mine, its) for mine, its in zip(shown.readings, shown.references, strict=True)]
    most = sum(int(one.sum()) for one in bad) // 2
    stage.perform(shown.schedule)  # the reference is asked at its own places
    best = _EXACT, 0
    for places in sorted(range(-_FURTHEST, _FURTHEST + 1), key=abs)[1:]:
        with asked_behind(places):
            there = stage.perform(shown.schedule)
        if len(there.readings) != len(bad):
            continue
        off = np.concatenate([
            _off(reading, stage)[which] for reading, which in zip(there.readings, bad, strict=True)
        ])  # fmt: skip
        if int((off < _EXACT).sum()) > most:
            best = min(best, (float(np.median(off)), places))
    return best[1]


def _bad(mine: Reading, its: Reading) -> NDArray[np.bool_]:
    wrong = np.any(mine.wrong & ~its.wrong, axis=(1, 2, 3))
    return np.asarray(wrong, dtype=np.bool_)


def _off(reading: Reading, stage: Stage) -> NDArray[np.float32]:
    """How far each token's answer is from its row, in the worst channel."""
    assert reading.answers is not None
    values = stage.hard.values
    spread = np.float32(values.max() - values.min())
    off = np.abs(reading.answers - values[reading.tokens]).max(axis=(1, 2, 3)) / spread
    return np.asarray(off, dtype=np.float32)
