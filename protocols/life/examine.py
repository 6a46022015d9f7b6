"""All families of schedules on one class: what it supports, what it keeps, and where it fails.

A few schedules of every family, then random ones as long as time is left. Each failure is seen
again with another secret, so that no chance is reported, and is shrunk to the shortest schedule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.contract import Shape
from ...compressors.plugin.operations import OPERATIONS, operations_of
from ...reductions.index import MIN_TOKENS, IndexReduction
from ...reductions.reduction import Reduction
from ..game.coins import Draws
from .families import FAMILIES, draw
from .oracle import is_legal
from .perform import Build, Hard, Performance, Stage
from .schedule import Operation, Schedule
from .shrink import shrink

SECONDS = 20.0
EACH = 3
RANDOM = 60
TOKENS = 40
_OFTEN = 2
_REFUSALS = 4
_WIDE, _AROUND, _EDGES = 64, 64, (1, 0, 8, -1)
MOST_SIZE = 2000
_KEY = bytes(32)


@dataclass(frozen=True)
class Finding:
    """One way in which a cache breaks the law, or one operation that it refuses.

    Attributes:
        family: of the schedule that showed it.
        performance: of the shortest schedule found.
        first: the schedule as it was drawn.
        times: how many schedules ended so.
    """

    family: str
    performance: Performance
    first: Schedule
    times: int = 1

    @property
    def sentence(self) -> str:
        """``append 1, append 1, crop 1: all tokens answer 1 place away``."""
        return self.performance.sentence

    @property
    def operation(self) -> str:
        """The last operation that is no feeding and no question: what is to be looked at first."""
        names = [str(one) for one in self.performance.schedule.operations]
        telling = [name for name in names if name.split()[0] not in ("append", "switch", "ask")]
        return telling[-1] if telling else (names or [""])[-1]

    def as_dict(self) -> dict[str, Any]:
        """Plain data: what came of it, and the schedule that shows it."""
        return {
            "family": self.family,
            "operation": self.operation,
            "outcome": self.performance.outcome.as_dict(),
            "sentence": self.sentence,
            "schedule": self.performance.schedule.as_dict(),
            "times": self.times,
        }


@dataclass(frozen=True)
class Life:
    """What an examination came to.

    Attributes:
        can: the operations that the class has.
        tried: how many schedules of each family were performed.
        faults, refusals: one finding for each kind and operation.
        seconds: how long it took; ``whole`` says whether all that was planned was tried.
    """

    can: tuple[str, ...]
    tried: dict[str, int]
    faults: tuple[Finding, ...]
    refusals: tuple[Finding, ...]
    seconds: float
    whole: bool = True
    longest: int = 0
    lacks: tuple[str, ...] = field(default=())

    @property
    def sentence(self) -> str:
        """What was tried and what was not, in one or two sentences."""
        total = sum(self.tried.values())
        families = ", ".join(f"{name} {count}" for name, count in self.tried.items() if count)
        tried = (
            f"{total} schedules of up to {self.longest} tokens were tried ({families}), "
            f"{self.tried.get('random', 0)} of them random: a fault that only another schedule "
            "shows is not excluded."
        )
        lacks = f" Not tried, as the class does not have them: {', '.join(self.lacks)}."
        late = "" if self.whole else " Time was up before all that was planned was tried."
        return tried + (lacks if self.lacks else "") + late


def hard_for(
    tokens: int, d: int = 16, layers: int = 1, heads: int = 1, seed: int = 0
) -> tuple[Hard, Hard]:
    """What an examination feeds: two secrets over the same Kerdock keys, at the tight scale.

    Rows differ from each other in an eighth of their bits at least, and have as many ones and
    zeros, so that no row is read off a mixture of others, or off nothing.

    Raises:
        BadInput: there are not so many keys in d dimensions.
    """
    from ...reductions.keys import make
    from ...reductions.stream_family import StreamFamily

    keys = make("kerdock" if d >= 16 else "jl", max(tokens, MIN_TOKENS), d)
    index = IndexReduction.build(keys, d)
    made: Reduction = index if layers * heads == 1 else StreamFamily(index, layers, heads)
    one, two = (_rows(made.rows, layers * heads, d, seed + which) for which in (0, 1))
    return Hard(made, one, layers, heads), Hard(made, two, layers, heads)


def _rows(rows: int, heads: int, d: int, seed: int) -> NDArray[np.uint8]:
    """uint8[rows, heads * d]: in each head rows with an eighth of their bits apart, balanced."""
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, 77], dtype=np.uint64)))
    apart = max(1, d // 8)
    said = np.empty((rows, heads, d), dtype=np.uint8)
    for h in range(heads):
        for r in range(rows):
            for _ in range(1000):
                row = rng.integers(0, 2, d, dtype=np.uint8)
                fair = d // 4 <= row.sum() <= d - d // 4
                if fair and (not r or (said[:r, h] != row).sum(axis=1).min() >= apart):
                    break
            said[r, h] = row
    return said.reshape(rows, heads * d)


def examine(
    build: Build,
    shape: Shape | None = None,
    *,
    tokens: int = TOKENS,
    families: Sequence[str] = FAMILIES,
    each: int = EACH,
    random: int = RANDOM,
    seconds: float = SECONDS,
    sizes: Sequence[int] = (),
    declared: Callable[[int, int], NDArray[np.bool_] | None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Life:
    """Perform schedules of every family that the class supports.

    Args:
        build: builds a fresh instance for a shape.
        shape: of a token: d_k = d_v, layers and heads; None: 16 dimensions, one head.
        tokens: how many each schedule feeds; d_k^2 / 2 and a little more at most.
        families: which.
        each, random: schedules of each family, and random ones.
        seconds: after that nothing new is tried.
        sizes: lengths that matter to the class (its window, block, capacity): a schedule of every
            family also begins around each, in 64 dimensions where 16 have too few keys.
        declared: what of the survivors is declared held (:class:`.perform.Stage`).

    Raises:
        PluginFailure: the class fails when it is only fed tokens, so nothing can be said.
    """
    began = clock()
    d, layers, heads = (16, 1, 1) if shape is None else (shape.d_v, shape.layers, shape.kv_heads)

    @cache
    def stages(most: int) -> tuple[Stage, Stage]:
        wide = d if most <= d * d // 2 else max(d, _WIDE)
        one, two = hard_for(most, wide, layers, heads)
        return Stage(build, one, declared=declared), Stage(build, two, declared=declared)

    probe = build(stages(tokens)[0].hard.shape(tokens))
    can = operations_of(probe)
    tried = dict.fromkeys(families, 0)
    found = _Found(lambda: clock() - began > 2 * seconds)
    sizes = sorted({size for size in sizes if 1 < size <= MOST_SIZE})
    longest = max([tokens, *(size + _AROUND for size in sizes)])
    whole = True
    if not probe.streaming:
        families = ()  # a batch algorithm takes the stream at once: nothing may happen before
    for family, number, size in _plan(families, each, random, sizes):
        if clock() - began > seconds:
            whole = False
            break
        coins = Draws(f"life {family} {size}" if size else f"life {family}", _KEY, "", number)
        if size:
            before = size + _EDGES[number % len(_EDGES)]
            schedule = draw(family, coins, _AROUND - max(_EDGES), can, before)
        else:
            # The lengths differ: what only fails at one of them shows.
            schedule = draw(family, coins, tokens - number % (tokens // 2 + 1), can)
        tried[family] += 1
        found.take(family, schedule, *stages(size + _AROUND if size else tokens))
    findings = found.findings.values()
    faults = tuple(one for one in findings if one.performance.is_fault)
    refusals = tuple(one for one in findings if not one.performance.is_fault)
    return Life(
        can, tried, faults, refusals, clock() - began, whole, longest,
        tuple(name for name in OPERATIONS if name not in can),
    )  # fmt: skip


def _plan(
    families: Sequence[str], each: int, random: int, sizes: Sequence[int]
) -> list[tuple[str, int, int]]:
    """What is tried: family, number, and around which size (0: none); what is short comes first."""
    first, *later = range(each) if each else [0]
    rounds = [(family, first, 0) for family in families if family != "random" and each]
    rounds += [(family, n, size) for size in sizes for n, family in enumerate(families)]
    rounds += [(family, n, 0) for n in later for family in families if family != "random"]
    return rounds + [("random", n, 0) for n in range(random) if "random" in families]


class _Found:
    """What was found so far: a finding for each set of operations that shows a fault.

    A schedule that holds all the operations of a finding is counted as the same fault.
    """

    def __init__(self, late: Callable[[], bool]) -> None:
        self._late = late
        self.findings: dict[frozenset[str], Finding] = {}

    def take(self, family: str, schedule: Schedule, stage: Stage, again: Stage) -> None:
        """Perform a schedule; keep what it shows unless the same was seen.

        What is refused is left out, and the rest of the schedule is tried as well.
        """
        for _ in range(_REFUSALS):
            self._stage, self._again = stage, again
            refused = self._take(family, schedule)
            if refused is None:
                return
            operations = schedule.operations
            schedule = replace(
                schedule, operations=operations[:refused] + operations[refused + 1 :]
            )
            if not is_legal(schedule):
                return

    def _take(self, family: str, schedule: Schedule) -> int | None:
        """The same for a schedule as it is; return which operation was refused, if one was."""
        first = self._stage.perform(schedule)
        self._keep(family, schedule, first)
        return len(first.schedule.operations) - 1 if first.outcome.kind == "refused" else None

    def _keep(self, family: str, schedule: Schedule, first: Performance) -> None:
        if first.outcome.kind == "kept":
            return
        if first.is_fault and not self._again.perform(schedule).is_fault:
            return  # one secret's chance
        used = _telling(first)
        known = next((key for key in self.findings if key <= used), None)
        if known is not None and self.findings[known].times >= _OFTEN:
            self._count(known)
            return
        shortest = self._shortest(first)
        used = _telling(shortest)
        known = next((key for key in self.findings if key <= used), None)
        if known is not None:
            self._count(known)
            return
        implied = [key for key in self.findings if used < key]
        times = 1 + sum(self.findings.pop(key).times for key in implied)
        self.findings[used] = Finding(family, shortest, schedule, times)

    def _shortest(self, first: Performance) -> Performance:
        kind = first.outcome.kind
        # What is lost and what still answers are two sides of one fault.
        kinds = ("lost", "ghosts") if kind in ("lost", "ghosts") else (kind,)

        def fails(one: Schedule) -> bool:
            return not self._late() and self._stage.perform(one).outcome.kind in kinds

        found = self._stage.perform(shrink(first.schedule, fails))
        if self._stage.shows_only_saved(found):
            operations = (*found.schedule.operations, Operation("save"))
            found = self._stage.perform(replace(found.schedule, operations=operations))
        return found

    def _count(self, key: frozenset[str]) -> None:
        self.findings[key] = replace(self.findings[key], times=self.findings[key].times + 1)


def _telling(performance: Performance) -> frozenset[str]:
    """The kinds of operations in it but for single tokens and questions; a refusal has its own."""
    names = {one.name for one in performance.schedule.operations}
    if not performance.is_fault:
        return frozenset({"refused " + performance.schedule.operations[-1].name})
    return frozenset(names - {"append", "append-each", "switch", "ask"} | {"fault"})
