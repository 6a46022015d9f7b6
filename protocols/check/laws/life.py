"""Whatever an engine does to it, it answers as one that was only fed the surviving tokens.

The law, its proof and its schedules are those of ``protocols.life``. Here its outcome becomes
findings. Cuts and pieces alone are another rung's (``same``), with longer streams.
"""

from __future__ import annotations

from collections.abc import Iterator

from ....compressors.plugin.contract import Compressor, Shape
from ....compressors.plugin.operations import operations_of
from ...life.examine import Finding, examine
from ..bench import Bench
from ..fault import Fault, whole

TITLE = "operations: crop, drop, fork, ..."
SECONDS = 4.0


def law(bench: Bench) -> Iterator[Fault]:
    """The operations that the class has, in schedules that are drawn, and shrunk where they
    fail."""

    def build(shape: Shape) -> Compressor:
        return bench.build(shape)

    can = operations_of(bench.build(bench.shape(8)))
    if not can or not bench.streaming:
        bench.skipped = "it has none"
        return
    life = examine(build, seconds=SECONDS, sizes=bench.sizes)
    lacks = f"; {', '.join(life.lacks)} (it has none)" if life.lacks else ""
    bench.untried.append(
        f"other schedules of operations than the {sum(life.tried.values())} drawn, of up to "
        f"{life.longest} tokens{lacks}"
    )
    for found in life.faults:
        yield _fault("operation-broken", found)
    for found in life.refusals:
        yield _fault("operation-refused", found)


def _fault(code: str, found: Finding) -> Fault:
    outcome = found.performance.outcome
    schedule = found.performance.schedule
    batch = [f"a batch of {schedule.sequences}"] if schedule.sequences is not None else []
    return Fault(
        code, f"{found.sentence}", tokens=whole(outcome.lost or outcome.ghosts) or None,
        operation=found.operation,
        reproduction=(*batch, *map(str, schedule.operations)),
    )  # fmt: skip
