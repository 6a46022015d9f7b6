"""Whatever an engine does to it, it answers as one that was only fed the surviving tokens.

The law, its proof and its schedules are those of ``protocols.life``. Here its outcome becomes
findings. Cuts and pieces alone are another rung's (``same``), with longer streams.

A class that takes the whole token is given two layers of two heads, for each is reordered and
cropped by code of its own.

*Reset.* What was reset is as just constructed, with the same public coins: so it answers a stream
as a fresh instance does, bit for bit but for the order of additions, whatever it was fed before.
Rows of bits have one scale, so what is fed before has 300 times the magnitude of what comes after:
a scale, a range or a statistic that stays is seen in every number. An instance that goes on with
its random generator may differ by its chance; it is at fault only if it is three times as wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from ....compressors.plugin.contract import Compressor, Shape
from ....compressors.plugin.operations import operate, operations_of
from ...evidence.places import named
from ...life.examine import Finding, examine
from ..bench import Bench, Stream, real_valued, stream
from ..fault import Fault, whole

TITLE = "operations: crop, drop, fork, ..."
SECONDS = 4.0
_LONG = 1e9
HEADS = Shape(40, 16, 16, layers=2, heads=2, kv_heads=2)
WORSE, LEAST = 3.0, 0.02


def law(bench: Bench) -> Iterator[Fault]:
    """The operations that the class has, in schedules that are drawn, and shrunk where they
    fail."""

    def build(shape: Shape) -> Compressor:
        return bench.build(shape)

    def clock() -> float:
        # The processor's: a fault is shrunk as far on a machine that has other work.
        return time.process_time() + (_LONG if time.monotonic() > bench.rung_ends else 0.0)

    can = operations_of(bench.build(bench.shape(8)))
    if not can or not bench.streaming:
        bench.skipped = "it has none"
        return
    shape = HEADS if bench.whole_tokens else None
    life = examine(build, shape, seconds=SECONDS, sizes=bench.sizes, clock=clock)
    lacks = f"; {', '.join(life.lacks)} (it has none)" if life.lacks else ""
    bench.untried.append(
        f"other schedules of operations than the {sum(life.tried.values())} drawn, of up to "
        f"{life.longest} tokens{lacks}"
    )
    for found in life.faults:
        yield _fault("operation-broken", found)
    for found in life.refusals:
        yield _fault("operation-refused", found)
    if "reset" in can and not life.faults:
        yield from _after_reset(bench)


def _after_reset(bench: Bench) -> Iterator[Fault]:
    n, before = 48, 24
    one, shape = stream(n, real_valued(n)), bench.shape(n)
    loud = Stream(one.keys, 300 * one.values, one.scale)
    fresh, used = bench.fed(one, shape), bench.build(shape)
    bench.append(used, loud, 0, before)
    operate(used, "reset")
    bench.append(used, one, 0, n)
    usual, now = (
        np.abs(bench.read(c, one, range(n)) - one.values).mean(axis=1) for c in (fresh, used)
    )
    worse = np.flatnonzero(now > WORSE * usual + LEAST)
    if len(worse):
        yield Fault(
            "operation-broken",
            f"after {before} tokens whose values are 300 times as large, and reset, "
            f"{named('token', worse)} of the next {n} answer with an error of "
            f"{now[worse].mean():.2g}, for {usual[worse].mean():.2g} in a fresh instance: "
            "something that follows the size of the values is left.",
            tokens=whole(worse),
            operation="reset",
            reproduction=(f"append {before} with values 300 times as large", "reset",
                          f"append {n}", f"ask for token {worse[0]}"),
        )  # fmt: skip


def _fault(code: str, found: Finding) -> Fault:
    outcome = found.performance.outcome
    schedule = found.performance.schedule
    batch = [f"a batch of {schedule.sequences}"] if schedule.sequences is not None else []
    return Fault(
        code, f"{found.sentence}", tokens=whole(outcome.lost or outcome.ghosts) or None,
        operation=found.operation,
        reproduction=(*batch, *map(str, schedule.operations)),
    )  # fmt: skip
