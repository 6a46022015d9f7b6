"""Two measurements of the same messages, compared one by one: the mathematics of ``regress``.

If the host facts match (:mod:`.host`), every count and every charged bit must be equal; for code
that was changed on purpose, none may be worse. These messages are not a sample: counts that rose in
some messages and fell in none got worse, however few they are; so did code that breaks the
guarantee now and did not then, whatever fell. On other hosts, for keys in
``PAIRED_KEYS``, for code that is not deterministic, and if counts both rose and fell, a paired
comparison decides (:mod:`.sign_test`), at a family-wise level over all cells, quantities and
directions (Bonferroni). It does not see changes in only a few messages. A message that fails now
and did not before fails the cell on every host. Below ``least_messages`` the test can reject
nothing: such a baseline is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import BadInput
from ..protocols.evidence.row_counts import counts_of
from ..protocols.game.coins import COMMITTED_KEYS
from .host import hosts_match
from .points import judge_rows, messages_of
from .rows import BatchRow
from .sign_test import LEVEL, MARGIN, Shift, least_messages, messages_needed, paired_shift

_SHOWN = 3
PAIRED_KEYS = frozenset({"regress-2"})


@dataclass(frozen=True)
class Difference:
    """A message that changed: its wrong bits, charged bits and failure, before and now."""

    message: int
    wrong: tuple[int, int]
    charged: tuple[int, int]
    failed: tuple[str | None, str | None]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "message": self.message,
            "wrong_bits": list(self.wrong),
            "charged_bits": list(self.charged),
            "failed": list(self.failed),
        }


@dataclass(frozen=True)
class CellComparison:
    """One cell, before and now. ``failure``: one sentence, or None if it passed.

    ``exact``: the messages were compared one by one, so that one bit in one of them is caught.
    ``error`` (bit error) and ``charged`` (bits) are the paired comparisons, made in both modes so
    that the shifts can be shown. ``different``: every message that changed.
    """

    cell: str
    compressor: str
    budget: str | None
    key: str
    messages: int
    exact: bool
    error: Shift
    charged: Shift
    failure: str | None
    different: tuple[Difference, ...] = ()

    @property
    def smallest_shift(self) -> float | None:
        """The smallest bit-error shift that would be caught: one wrong bit where exact."""
        return 0.0 if self.exact else self.error.smallest


@dataclass(frozen=True)
class RegressReport:
    """All comparisons of one run."""

    comparisons: tuple[CellComparison, ...]
    level: float
    margin: float

    @property
    def passed(self) -> bool:
        """Whether no cell moved."""
        return not self.failures

    @property
    def failures(self) -> tuple[CellComparison, ...]:
        """The cells that moved."""
        return tuple(c for c in self.comparisons if c.failure)

    @property
    def messages(self) -> int:
        """Messages compared."""
        return sum(c.messages for c in self.comparisons)

    @property
    def smallest_shift(self) -> float | None:
        """The smallest bit-error shift that every cell would have caught; None without one."""
        shifts = [c.smallest_shift for c in self.comparisons]
        return None if None in shifts else max((s for s in shifts if s is not None), default=None)

    @property
    def caught(self) -> str:
        """What could have been caught, in one clause."""
        if self.smallest_shift is None:
            return "no change could have been caught"
        if self.smallest_shift == 0.0:
            return "one bit in one message would have been caught"
        return (
            f"{self.smallest_shift:.3g} more or less bit error in every message of a cell "
            "would have been caught"
        )

    def refuse_blind(self) -> None:
        """Raise BadInput if no cell moved, but in some cell no change could have been caught."""
        blind = [c for c in self.comparisons if c.smallest_shift is None]
        if self.passed and blind:
            raise _too_few(blind[0].compressor, blind[0].messages, self.level, self.comparisons)


def refuse_powerless(
    baseline: Sequence[BatchRow], host: str, versions: str, level: float = LEVEL
) -> None:
    """Raise BadInput for a baseline that could not fail on this host.

    This is known before anything is played: on another host than the baseline's (``host`` and
    ``versions`` are JSON as in a row) a cell with fewer than ``least_messages`` always passes, and
    so does one in which every message failed.
    """
    cells = _groups(baseline)
    for rows in cells.values():
        if all(message.failed for message in messages_of(rows)):
            raise BadInput(
                f"Every message of '{rows[0].compressor}' failed in the baseline, so nothing "
                "can get worse: fix the failure and measure the baseline again."
            )
        home = rows[0].key not in PAIRED_KEYS and all(_at_home(row, host, versions) for row in rows)
        messages = sum(row.size for row in rows)
        if not home and messages_needed(messages, _each(level, cells)) is None:
            raise _too_few(rows[0].compressor, messages, level, cells)


def _at_home(row: BatchRow, host: str, versions: str) -> bool:
    # What an engine's packages are here is not known before it is played.
    then = json.loads(row.versions)
    return hosts_match(json.loads(row.host), then, json.loads(host), then | json.loads(versions))


def _too_few(name: str, messages: int, level: float, cells: Collection[Any]) -> BadInput:
    return BadInput(
        f"The baseline has {messages} messages of a cell of '{name}'. They cannot be compared "
        "one by one (another host, code that is not deterministic, or counts that both rose "
        "and fell), and they are too few for a statistical test: measure the baseline again "
        f"with at least {least_messages(_each(level, cells))} messages per cell."
    )


def _each(level: float, cells: Collection[Any]) -> float:
    # Two quantities, two directions, every cell.
    return level / (4 * len(cells))


def _groups(rows: Sequence[BatchRow]) -> dict[tuple[str, str], list[BatchRow]]:
    """The batches that are compared together: a cell's under one committed key, or fresh ones."""
    groups: dict[tuple[str, str], list[BatchRow]] = {}
    for row in sorted(rows, key=lambda row: (row.key, row.cell, row.batch)):
        key = row.key if row.key in COMMITTED_KEYS else "fresh"
        groups.setdefault((row.cell, key), []).append(row)
    return groups


def compare(
    baseline: Sequence[BatchRow],
    now: Sequence[BatchRow],
    *,
    level: float = LEVEL,
    margin: float = MARGIN,
    only_worse: bool = False,
    unsteady: Collection[str] = (),
) -> RegressReport:
    """Compare every cell of the baseline with rows of the same batches played now.

    Rows are paired by cell, key and batch; the source may differ, for the code may have changed.
    A cell's batches under one committed key are compared together, and so are all its batches
    under fresh keys. ``only_worse``: the code was changed on purpose, so only a rise of errors,
    charged bits or failures is a failure. ``unsteady``: cells whose code gives different counts
    when it plays the same messages again.

    Raises BadInput for an empty baseline, and if a batch was not played again.
    """
    if not baseline:
        raise BadInput("The baseline has no rows: measure one first.")
    played = {(row.cell, row.key, row.batch): row for row in now}
    groups = _groups(baseline)
    each = _each(level, groups)
    compared = []
    for (cell, _), group in groups.items():
        pairs = [(old, _again(old, played)) for old in group]
        compared.append(_compare_cell(pairs, each, margin, only_worse, cell not in unsteady))
    return RegressReport(tuple(compared), level, margin)


def _again(old: BatchRow, played: Mapping[tuple[str, str, int], BatchRow]) -> BatchRow:
    new = played.get((old.cell, old.key, old.batch))
    if new is None:
        raise BadInput(
            f"Batch {old.batch} of cell {old.cell} ({old.compressor}) was not played again: "
            "let regress finish."
        )
    return new


def _compare_cell(
    pairs: list[tuple[BatchRow, BatchRow]],
    level: float,
    margin: float,
    only_worse: bool,
    steady: bool,
) -> CellComparison:
    first = pairs[0][0]
    different = _differences(pairs)
    home = (
        steady and first.key not in PAIRED_KEYS and all(_same_host(old, new) for old, new in pairs)
    )
    exact = home and not (only_worse and _both_ways(different))
    before = messages_of([old for old, _ in pairs])
    after = messages_of([new for _, new in pairs])
    changes = [(b.wrong - a.wrong) / a.asked for a, b in zip(before, after, strict=True)]
    error = paired_shift(changes, margin, level)
    bits = [float(b.charged_bits - a.charged_bits) for a, b in zip(before, after, strict=True)]
    charged = paired_shift(bits, 0.0, level)
    failure = _new_failure(pairs)
    if failure is None and exact:
        failure = _worse(different, len(before)) if only_worse else _unequal(pairs)
    if failure is None and only_worse and home:
        failure = _broken_now(pairs)
    if failure is None and not exact:
        constant = len({message.charged_bits for message in before}) == 1
        longer = constant and (any(b > 0 for b in bits) if only_worse else any(bits))
        failure = _moved(error, charged, longer, ("up",) if only_worse else ("up", "down"))
    return CellComparison(
        cell=first.cell,
        compressor=first.compressor,
        budget=first.spec_dict.get("budget"),
        key=first.key,
        messages=len(before),
        exact=exact,
        error=error,
        charged=charged,
        failure=failure,
        different=different,
    )


def _differences(pairs: list[tuple[BatchRow, BatchRow]]) -> tuple[Difference, ...]:
    found = []
    for old, new in pairs:
        for index, (a, b) in enumerate(zip(old.messages(), new.messages(), strict=True)):
            counts = [(m.wrong_by_age, m.charged_bits, m.failed is None) for m in (a, b)]
            if counts[0] != counts[1]:
                found.append(
                    Difference(
                        old.batch * old.size + index,
                        (a.wrong, b.wrong),
                        (a.charged_bits, b.charged_bits),
                        (a.failed, b.failed),
                    )
                )
    return tuple(found)


def _both_ways(different: Sequence[Difference]) -> bool:
    """Whether wrong bits, or charged bits, rose in some messages and fell in others."""
    for quantity in ("wrong", "charged"):
        signs = {_sign(*getattr(one, quantity)) for one in different}
        if {1, -1} <= signs:
            return True
    return False


def _sign(then: int, now: int) -> int:
    return (now > then) - (now < then)


def _worse(different: Sequence[Difference], messages: int) -> str | None:
    for quantity, what in (("wrong", "wrong bits"), ("charged", "charged bits")):
        rises = [
            (one.message, *getattr(one, quantity))
            for one in different
            if _sign(*getattr(one, quantity)) > 0
        ]
        if rises:
            shown = [f"message {where} from {a} to {b}" for where, a, b in rises[:_SHOWN]]
            more = len(rises) - len(shown)
            return (
                f"the {what} rose in {len(rises)} of {messages} messages and fell in none: "
                f"{', '.join(shown)}{f' and {more} more' if more else ''}."
            )
    return None


def _broken_now(pairs: Sequence[tuple[BatchRow, BatchRow]]) -> str | None:
    """Fewer wrong bits in all may be one row that is lost: the guarantee is every row's."""
    before, now = [old for old, _ in pairs], [new for _, new in pairs]
    if any(row.wrong_by_row is None for row in before):
        # By the same tests as before, or equal code would be worse.
        before, now = ([replace(row, wrong_by_row=None) for row in rows] for rows in (before, now))
    was, is_now = judge_rows(before), judge_rows(now)
    if was.guarantee == "broken" or is_now.guarantee != "broken":
        return None
    row = "" if is_now.worst_row is None else f" (row {is_now.worst_row})"
    return f"the guarantee is broken now{row}, and was {was.guarantee} before."


def _same_host(old: BatchRow, new: BatchRow) -> bool:
    facts = [json.loads(text) for text in (old.host, old.versions, new.host, new.versions)]
    return hosts_match(*facts)


def _new_failure(pairs: list[tuple[BatchRow, BatchRow]]) -> str | None:
    for old, new in pairs:
        for index, (before, after) in enumerate(zip(old.failed, new.failed, strict=True)):
            if after is not None and before is None:
                return f"{_place(old, index)} now fails: {after}"
    return None


def _unequal(pairs: list[tuple[BatchRow, BatchRow]]) -> str | None:
    for old, new in pairs:
        for index, (a, b) in enumerate(zip(old.messages(), new.messages(), strict=True)):
            facts: tuple[tuple[str, Any, Any], ...] = (
                ("wrong bits", a.wrong, b.wrong),
                ("asked bits", a.asked, b.asked),
                ("charged bits", a.charged_bits, b.charged_bits),
                ("wrong bits by age", a.wrong_by_age, b.wrong_by_age),
                *_by_row(a.wrong_by_row, b.wrong_by_row),
                ("failed", a.failed is not None, b.failed is not None),
            )
            for what, was, is_now in facts:
                if was != is_now:
                    return f"{_place(old, index)} has {what} {is_now} instead of {was}."
    return None


def _by_row(before: str | None, after: str | None) -> list[tuple[str, Any, Any]]:
    """The first row asked whose wrong bits differ, where both have counted them."""
    if before is None or after is None or before == after:
        return []
    was, is_now = counts_of(before), counts_of(after)
    row = int(np.argmax(was != is_now))
    return [(f"wrong bits in row {row} of those asked", int(was[row]), int(is_now[row]))]


def _moved(
    error: Shift, charged: Shift, constant_changed: bool, directions: tuple[str, ...]
) -> str | None:
    if constant_changed:
        return (
            f"all messages had the same length, which changed by {charged.mean:g} bits on average."
        )
    for shift, what in ((error, "the bit error"), (charged, "the charged bits")):
        if shift.moved in directions:
            count = max(shift.rises, shift.falls)
            return (
                f"{what} went {shift.moved} by {abs(shift.mean):.4g} on average, and by more "
                f"than {shift.margin:g} in {count} messages (the test rejects from "
                f"{shift.needed} on)."
            )
    return None


def _place(row: BatchRow, index: int) -> str:
    return f"message {row.batch * row.size + index}"
