"""The shortest schedule that still fails: a schedule is data, so shrinking is deleting.

Deterministic, and bounded in how often it performs: rounds of deleting runs of operations (halves
first, then quarters, down to single ones) and of making numbers smaller, until nothing helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

from .oracle import is_legal
from .schedule import Operation, Schedule

MOST_RUNS = 400

_PLAINER = {
    "extend": "append", "append-each": "append", "extend-each": "append-each", "fork": "copy",
}  # fmt: skip


def shrink(
    schedule: Schedule, fails: Callable[[Schedule], bool], most_runs: int = MOST_RUNS
) -> Schedule:
    """Return a schedule that fails and has nothing left to take away.

    Args:
        schedule: one that fails.
        fails: whether a legal schedule fails in the same way.
        most_runs: how often ``fails`` is asked at most; then the shortest so far is returned.

    >>> def fails(one):
    ...     return "crop" in str(one) and "append" in str(one)
    >>> print(shrink(Schedule.of("append 9, save, crop 7, append 3, ask"), fails))
    append 1, crop 0
    """
    runs = 0
    tried: set[Schedule] = {schedule}
    improved = True
    while improved:
        improved = False
        for candidate in _smaller(schedule):
            if runs >= most_runs:
                return schedule
            if candidate in tried or not is_legal(candidate):
                continue
            tried.add(candidate)
            runs += 1
            if fails(candidate):
                schedule, improved = candidate, True
                break
    return schedule


def _smaller(schedule: Schedule) -> Iterator[Schedule]:
    """Simpler schedules, the boldest first."""
    operations = schedule.operations
    size = len(operations)
    while size:
        for begin in range(0, len(operations), size):
            yield replace(schedule, operations=operations[:begin] + operations[begin + size :])
        size //= 2
    for at, (one, two) in enumerate(pairwise(operations)):
        if one.name == two.name and one.name in ("append", "extend"):
            both = Operation(one.name, (one.arguments[0] + two.arguments[0],))
            yield replace(schedule, operations=(*operations[:at], both, *operations[at + 2 :]))
    if schedule.sequences is not None and schedule.sequences > 1:
        yield replace(schedule, sequences=schedule.sequences - 1)
    if schedule.sequences is not None:
        yield replace(schedule, sequences=None)
    for at, operation in enumerate(operations):
        for other in _simpler(operation):
            yield replace(schedule, operations=(*operations[:at], *other, *operations[at + 1 :]))
    yield from _fed_less(schedule)


def _simpler(operation: Operation) -> Iterator[tuple[Operation, ...]]:
    """The same operation with smaller numbers, or a plainer one."""
    name, numbers = operation.name, operation.arguments
    if name == "select":
        for at in range(len(numbers) if len(numbers) > 1 else 0):
            yield (Operation(name, numbers[:at] + numbers[at + 1 :]),)
    for at, number in enumerate(numbers):
        for less in sorted({0, 1, number // 2, number - 1} - {number}, key=abs):
            if abs(less) < abs(number):
                yield (Operation(name, (*numbers[:at], less, *numbers[at + 1 :])),)
    if name == "drop" and numbers[0]:
        yield (Operation(name, (0, numbers[1] - numbers[0])),)
    if name in _PLAINER:
        yield (Operation(_PLAINER[name], numbers),)


def _fed_less(schedule: Schedule) -> Iterator[Schedule]:
    """Less in a feeding, or nothing, and all crops and drops after it moved along."""
    operations = schedule.operations
    for at, operation in enumerate(operations):
        if operation.name not in ("append", "extend"):
            continue
        for less in sorted({operation.arguments[0] // 2, operation.arguments[0] - 1}):
            by = operation.arguments[0] - less
            after = [
                Operation(one.name, tuple(max(0, n - by) for n in one.arguments))
                if one.name in ("crop", "drop")
                else one
                for one in operations[at + 1 :]
            ]
            fed = [Operation(operation.name, (less,))] if less else []
            yield replace(schedule, operations=(*operations[:at], *fed, *after))
