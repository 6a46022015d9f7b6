"""From results rows to verdicts, and back from a row's spec to the cell that it played."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..protocols.evidence.evidence import Guarantee
from ..protocols.evidence.verdicts import LEVEL, PointVerdict, judge_guarantee, judge_point
from ..protocols.game.cell import Cell
from ..protocols.game.coins import sampled_rows
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
    """Judge one cell from its contiguous batches 0, 1, 2, ... in order (``rows.prefix``)."""
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
    return judge_point(
        messages_of(rows),
        cache_bits=cell.instance.shape.cache_bits_16,
        level=level,
        rows=rows_asked(rows),
        rows_apart=apart,
        **_sizes(rows),
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
