"""From results rows to verdicts, and back from a row's spec to the cell that it played."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..protocols.evidence.evidence import AGE_BUCKETS, Guarantee
from ..protocols.evidence.row_counts import counts_of
from ..protocols.evidence.verdicts import LEVEL, PointVerdict, judge_guarantee, judge_point
from ..protocols.game.cell import Cell
from ..protocols.game.coins import bucket_of, sampled_rows
from ..protocols.game.instances import of_spec
from ..protocols.players.isolation import is_builtin
from .rows import BatchRow, Message, prefixes


def cell_of(spec: Mapping[str, Any]) -> Cell:
    """The cell of a spec (``Cell.spec``, ``BatchRow.spec_dict``). Raises BadInput for another dict.

    A spec names a target's file without its folder, so the path must be given again.

    >>> from kvbarrier.protocols.game.instances import Index
    >>> cell = Cell(Index(n=32, d=8), "exact", budget=Fraction(1, 4))
    >>> cell_of(cell.spec()) == cell
    True
    """
    try:
        budget = spec["budget"]
        return Cell(
            of_spec(spec["instance"]),
            spec["target"],
            tuple(spec["params"].items()),
            None if budget is None else Fraction(budget),
            spec["batch_size"],
        )
    except BadInput:
        raise
    except (KeyError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise BadInput(
            f"A row's cell cannot be read ({error}): use the version of kvbarrier that wrote it."
        ) from None


def messages_of(rows: Sequence[BatchRow]) -> list[Message]:
    """The messages of consecutive batches in index order."""
    return [message for row in rows for message in row.messages()]


def rows_asked(rows: Sequence[BatchRow]) -> list[NDArray[np.int64]] | None:
    """The rows that each message was asked for, from its public coins; None if all of them."""
    instance = cell_of(rows[0].spec_dict).instance
    if instance.rows is None:
        return None
    return [
        sampled_rows(row.master_key, row.instance, number, instance.secret_rows, instance.rows)
        for row in rows
        for number in range(row.batch * row.size, (row.batch + 1) * row.size)
    ]


def guarantee_of(rows: Sequence[BatchRow]) -> Guarantee:
    """The evidence on the guarantee from a cell's contiguous batches."""
    return judge_guarantee(messages_of(rows), rows=rows_asked(rows), **_sizes(rows))


def judge_rows(rows: Sequence[BatchRow], level: float = LEVEL) -> PointVerdict:
    """Judge one cell from its contiguous batches 0, 1, 2, ... in order (``rows.prefix``).

    Raises BadInput without any, and for counts that contradict each other or the instance.
    """
    if not rows:
        raise BadInput("There are no messages to judge yet: play at least one batch.")
    cell = cell_of(rows[0].spec_dict)
    # Whoever counts by row also asks a stranger row by row.
    apart = all(row.wrong_by_row is not None for row in rows) or is_builtin(cell.target)
    secret = cell.instance.secret_rows * cell.instance.row_bits
    if any(row.secret != secret for row in rows):
        raise BadInput(
            f"Rows of cell {rows[0].cell} have another secret than the {secret} bits of their "
            "instance: restore the file or use a new one."
        )
    asked = rows_asked(rows)
    _refuse_contradictions(rows, asked, cell.instance.secret_rows, cell.instance.row_bits)
    return judge_point(
        messages_of(rows),
        cache_bits=cell.instance.shape.cache_bits_16,
        level=level,
        rows=asked,
        rows_apart=apart,
        **_sizes(rows),
    )


def _refuse_contradictions(
    rows: Sequence[BatchRow], asked: Sequence[NDArray[np.int64]] | None, n: int, row_bits: int
) -> None:
    """Raise BadInput unless every message was asked what its instance asks, and counts add up.

    Buckets and rows are judged apart, so each would believe its own half of an edited line.
    """
    ages = bucket_of(np.arange(n), n)
    places = [(row, i) for row in rows for i in range(row.size)]
    for t, (row, i) in enumerate(places):
        here = ages if asked is None else ages[asked[t]]
        bits = row_bits * np.bincount(here, minlength=AGE_BUCKETS)
        text = None if row.wrong_by_row is None else row.wrong_by_row[i]
        wrong = None if text is None else counts_of(text)
        wanted = None
        if tuple(bits.tolist()) != row.asked_by_age[i]:
            wanted = "was not asked the rows that its instance asks"
        elif wrong is not None and len(wrong) == len(here):
            by_age = np.bincount(here, weights=wrong, minlength=AGE_BUCKETS).astype(np.int64)
            if tuple(by_age.tolist()) != row.wrong_by_age[i]:
                wanted = "has other wrong bits by row and by age"
        if wanted is not None:
            raise BadInput(
                f"Message {i} of batch {row.batch} of cell {row.cell} {wanted}: restore the file "
                "or use a new one."
            )


def _sizes(rows: Sequence[BatchRow]) -> dict[str, int]:
    n = cell_of(rows[0].spec_dict).instance.secret_rows
    return {"n": n, "row_bits": rows[0].secret // n}


def judge_all(
    rows: Iterable[BatchRow], level: float = LEVEL
) -> dict[tuple[str, str], PointVerdict]:
    """Judge every (cell, source) of a file from its longest contiguous prefix."""
    runs = prefixes(list(rows))
    return {id_: judge_rows(run, level) for id_, run in runs.items() if run}
