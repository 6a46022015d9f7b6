"""The ladder of laws, from cheap to dear, in the process of the subject."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...compressors.plugin.answers import WrongAnswer
from ...compressors.plugin.blame import is_our_fault
from .bench import Bench, OutOfTime
from .fault import Fault
from .findings import NO_TIME
from .laws import (
    declared,
    heads,
    held,
    inputs,
    life,
    mass,
    memory,
    mixed,
    returns,
    same,
    scores,
    structure,
)  # fmt: skip
from .probes import code_of, told
from .subject import Subject

Law = Callable[[Bench], Iterator[Fault]]
Say = Callable[..., None]
SECONDS = 8.0
"""What a rung may take, of the processor's time. A cache that is slower is examined less, and the
report says so."""
WAIT = 4.0
"""How much longer it may take on the clock of the wall, on a machine that has other work."""


@dataclass(frozen=True)
class Rung:
    """A law, its name, and what is tried, for the last table.

    ``exact``: the law holds for every choice of public coins, so that no second choice is asked.
    """

    name: str
    title: str
    law: Law
    exact: bool = False


LADDER: tuple[Rung, ...] = (
    Rung("heads", heads.TITLE, heads.law, exact=True),
    Rung("mixed", mixed.TITLE, mixed.law),
    Rung("structure", structure.TITLE, structure.law),
    Rung("declared", declared.TITLE, declared.law, exact=True),
    Rung("returns", returns.TITLE, returns.law),
    Rung("mass", mass.TITLE, mass.law),
    Rung("held", held.TITLE, held.law),
    Rung("inputs", inputs.TITLE, inputs.law, exact=True),
    Rung("same", same.TITLE, same.law, exact=True),
    Rung("scores", scores.TITLE, scores.law),
    Rung("memory", memory.TITLE, memory.law, exact=True),
    Rung("life", life.TITLE, life.law, exact=True),
)


def rung(name: str) -> Rung:
    """The rung of that name."""
    return next(one for one in LADDER if one.name == name)


def climb(
    subject: Subject,
    say: Say,
    seconds: float,
    words: tuple[Sequence[str], Sequence[str]] = ((), ()),
    only: Sequence[str] = (),
    work_seconds: float = SECONDS,
) -> None:
    """Try the rungs in order; say what each found, in the end what is held and was not tried."""
    bench = Bench(subject, time.monotonic() + seconds, words=words)
    if bench.is_of_another_rule:
        say(
            holds=None, untried=["the laws: they are those of softmax, and it answers another rule"]
        )
        return
    for one in LADDER:
        if only and one.name not in only:
            continue
        if bench.left() <= 0:
            bench.untried.append(f"{one.title} (time was up)")
            continue
        _try(one, bench, say, work_seconds)
    say(holds=bench.holds, untried=bench.untried)


def _try(one: Rung, bench: Bench, say: Say, seconds: float) -> None:
    say(probe=one.title)
    began = time.monotonic()
    bench.rung_ends = min(bench.deadline, began + WAIT * seconds)
    bench.work_ends = time.process_time() + seconds
    found: list[str] = []
    bench.skipped = ""
    late = False

    def tell(fault: Fault) -> None:
        found.append(fault.code)
        bench.found.add(fault.code)
        say(fault=fault.as_dict(), rung=one.name)

    try:
        for fault in one.law(bench):
            tell(fault)
    except OutOfTime:
        late = True
        bench.untried.append(f"{one.title}: all of it (it takes longer than {seconds:g} s)")
    except WrongAnswer as wrong:
        tell(Fault(code_of(wrong), f"{one.title}: {wrong}", operation="attend"))
    except Exception as error:
        if is_our_fault(error):
            raise
        tell(Fault("raises", f"{one.title}: {told(error)}"))
    outcome = ", ".join(dict.fromkeys(found)) or (
        NO_TIME if late else bench.skipped or "nothing found"
    )
    tried: dict[str, Any] = {"name": one.name, "title": one.title, "outcome": outcome}
    say(tried={**tried, "seconds": time.monotonic() - began})
