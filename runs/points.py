"""From results rows to points: each judged once, then told as ``attack --json`` and in words.

A point is what a cell's contiguous batches say: a :class:`PointVerdict`, and as plain data one dict
of the cell, how it was played and its verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..compressors.catalog import is_builtin
from ..compressors.plugin.declaration import Declaration
from ..errors import BadInput
from ..protocols.evidence.declared import Declared
from ..protocols.evidence.declared_memory import Shorter
from ..protocols.evidence.evidence import AGE_BUCKETS, Guarantee
from ..protocols.evidence.nulls import null_of
from ..protocols.evidence.record import MessageRecord
from ..protocols.evidence.row_counts import counts_of
from ..protocols.evidence.verdicts import (
    LEVEL,
    PointVerdict,
    judge_adversaries,
    judge_guarantee,
    judge_point,
)
from ..protocols.game.cell import Cell, cell_of, target_name
from ..protocols.game.coins import bucket_of, public_seed
from ..protocols.game.declarations import hold_against
from ..protocols.game.instance import Instance, rows_of
from ..protocols.game.instances import Gaussian
from .lost import counts_by_kind, counts_by_place
from .rows import BatchRow, prefixes

if TYPE_CHECKING:
    from ..protocols.evidence.average import Average

SMALL_ERROR = 1e-3
"""Below it an error is told as a count, k of N bits."""

_POINTS = 1 << 12


def messages_of(rows: Sequence[BatchRow]) -> list[MessageRecord]:
    """The messages of consecutive batches in index order."""
    return [message for row in rows for message in row.messages()]


def rows_asked(cell: Cell, rows: Sequence[BatchRow]) -> list[NDArray[np.int64]] | None:
    """The rows that each message was asked for, from its public coins; None if all of them."""
    instance = cell.instance
    if instance.rows is None and instance.schedule is None:
        return None
    return [
        rows_of(instance, row.master_key, number)
        for row in rows
        for number in range(row.batch * row.size, (row.batch + 1) * row.size)
    ]


def guarantee_of(cell: Cell, rows: Sequence[BatchRow]) -> Guarantee:
    """The evidence on the guarantee from a cell's contiguous batches."""
    instance = cell.instance
    return judge_guarantee(
        messages_of(rows),
        n=instance.secret_rows,
        row_bits=instance.row_bits,
        rows=rows_asked(cell, rows),
        average=average_of(cell, rows),
    )


def average_of(cell: Cell, rows: Sequence[BatchRow]) -> Average | None:
    """The messages as the average case sees them; None where that is not the guarantee.

    Which rows Bob guesses follows from the public coins. Raises BadInput for results without
    counts by row.
    """
    instance, asked = cell.instance, rows_asked(cell, rows)
    if not isinstance(instance, Gaussian):
        return None
    numbers = [
        (row.master_key, number)
        for row in rows
        for number in range(row.batch * row.size, (row.batch + 1) * row.size)
    ]
    unread = [
        instance.unread(public_seed(key, instance.id, number), None if asked is None else asked[t])
        for t, (key, number) in enumerate(numbers)
    ]
    from ..protocols.evidence.average import Average

    return Average.of(messages_of(rows), unread, instance.row_bits, instance.closed_theta)


def judge_cell(cell: Cell, rows: Sequence[BatchRow], level: float = LEVEL) -> PointVerdict:
    """Judge one cell from its contiguous batches 0, 1, 2, ... in order (``rows.prefix``).

    Raises BadInput for counts that contradict each other or the instance.
    """
    instance = cell.instance
    # Whoever counts by row also asks a stranger row by row.
    apart = all(row.wrong_by_row is not None for row in rows) or is_builtin(cell.target)
    secret = instance.secret_rows * instance.row_bits
    if any(row.secret != secret for row in rows):
        raise BadInput(
            f"Rows of cell {rows[0].cell} have another secret than the {secret} bits of their "
            "instance: restore the file or use a new one."
        )
    asked = rows_asked(cell, rows)
    _refuse_contradictions(rows, asked, instance.secret_rows, instance.row_bits)
    return judge_point(
        messages_of(rows),
        n=instance.secret_rows,
        row_bits=instance.row_bits,
        cache_bits=instance.shape.cache_bits_16,
        level=level,
        rows=asked,
        rows_apart=apart,
        survivors=instance.schedule is not None,
        average=average_of(cell, rows),
    )


def judge_rows(rows: Sequence[BatchRow], level: float = LEVEL) -> PointVerdict:
    """The same from rows alone, of a cell that is read from their spec.

    Raises BadInput also without any row.
    """
    if not rows:
        raise BadInput("There are no messages to judge yet: play at least one batch.")
    return _judged(tuple(rows), level)


@lru_cache(_POINTS)
def _judged(rows: tuple[BatchRow, ...], level: float) -> PointVerdict:
    """A table's claims and pictures ask for the same points."""
    return judge_cell(cell_of(rows[0].spec_dict), rows, level)


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
            wanted = "was asked for other rows than its instance asks for"
        elif wrong is not None and len(wrong) == len(here):
            by_age = np.bincount(here, weights=wrong, minlength=AGE_BUCKETS).astype(np.int64)
            if tuple(by_age.tolist()) != row.wrong_by_age[i]:
                wanted = "counts different numbers of wrong bits by row and by age"
        if wanted is not None:
            raise BadInput(
                f"Message {i} of batch {row.batch} of cell {row.cell} {wanted}: restore the file "
                "or use a new one."
            )


def judge_all(
    rows: Iterable[BatchRow], level: float = LEVEL
) -> dict[tuple[str, str], PointVerdict]:
    """Judge every (cell, source) of a file from its longest contiguous prefix."""
    runs = prefixes(list(rows))
    return {id_: judge_rows(run, level) for id_, run in runs.items() if run}


def declared_of(
    cell: Cell,
    rows: Sequence[BatchRow],
    declaration: Declaration | None,
    less: Shorter | tuple[()] | None = (),
) -> Declared | None:
    """A declaration held against a cell's contiguous batches; None if there is none.

    ``less``: a shorter stream's tokens and charge, for the slope of memory; (): there is none;
    None: it is not known. Raises BadInput for words that contradict the shape.
    """
    if declaration is None:
        return None
    asked = rows_asked(cell, rows)
    return hold_against(declaration, cell.instance, messages_of(rows), rows=asked, less=less)


def points_of(rows: Iterable[BatchRow], level: float = LEVEL) -> list[dict[str, Any]]:
    """Every cell of some rows as a point, in the order in which the cells first appear."""
    return [point for _, _, point in told(rows, level)]


def told(
    rows: Iterable[BatchRow], level: float = LEVEL
) -> Iterator[tuple[list[BatchRow], Declared | None, dict[str, Any]]]:
    """The same, each with the contiguous batches it rests on and its declaration as judged."""
    for run in prefixes(list(rows)).values():
        if run:
            cell = cell_of(run[0].spec_dict)
            # A file has no shorter stream, so no slope.
            declared = declared_of(cell, run, Declaration.of(run[-1].declares), None)
            yield run, declared, point_of(cell, run, judge_rows(run, level), declared)


def point_of(
    cell: Cell, rows: Sequence[BatchRow], verdict: PointVerdict, declared: Declared | None = None
) -> dict[str, Any]:
    """One cell's contiguous batches and their verdict as a point: plain data, no NaN.

    ``secret``, ``asked``, ``charged`` and ``wrong`` bits are sums over the messages; ``bit_error``
    is wrong over asked; ``error_floor`` is h^-1(1 - charged/secret); ``payload_bits`` is the
    charged bits without framing; ``over_budget`` says that some message was charged more than its
    budget; ``wrong_by_place``: :func:`.lost.counts_by_place`; ``wrong_by_kind``: of layers, where
    some slide (:func:`.lost.counts_by_kind`); ``changed`` is not None if the compressor changed
    during the attack; ``declared`` is not None if something was declared.
    """
    instance = cell.instance
    budget_bits = cell.budget_bits
    largest = max(max(row.charged) for row in rows)
    counts = counts_by_place(cell, rows)
    kinds = counts_by_kind(cell, counts)
    isolations = sorted({row.isolation for row in rows})
    evidence = verdict.as_dict()
    return {
        "compressor": target_name(cell.target),
        "params": dict(cell.params),
        "source": rows[0].source,
        "reduction": instance.reduction,
        "keys": instance.keys_played,
        "n": instance.n,
        "d": instance.d,
        "window": instance.window,
        **({} if instance.every is None else {"every": instance.every}),
        "layers": instance.layers,
        "heads": instance.heads,
        "queries": instance.queries,
        "basis": instance.basis,
        **_scheduled(instance, rows),
        "bob": instance.bob,
        "values": instance.values,
        "eta": instance.eta,
        "gamma": instance.gamma,
        "seed": instance.keys_seed,
        "budget": None if cell.budget is None else float(cell.budget),
        "over_budget": budget_bits is not None and largest > budget_bits,
        "isolation": "+".join(isolations),
        "streaming": rows[0].streaming,
        "messages": evidence["messages"],
        "failed": evidence["failed"],
        "asked_bits": evidence["asked_bits"],
        "secret_bits": evidence["secret_bits"],
        "charged_bits": evidence["charged_bits"],
        "payload_bits": 8 * sum(sum(row.payload) for row in rows),
        "bits_per_secret_bit": evidence["bits_per_secret_bit"],
        "compression_ratio": evidence["compression_ratio"],
        "wrong_bits": evidence["wrong_bits"],
        "wrong_by_place": counts,
        **({"wrong_by_kind": kinds} if kinds else {}),
        "bit_error": evidence["bit_error"],
        "error_floor": evidence["error_floor"],
        "ledger": evidence["ledger"],
        "guarantee": evidence["guarantee"] | {"null": null_of(instance).as_dict()},
        **(
            {"beta": instance.beta, "average_case": evidence["average_case"]}
            if "average_case" in evidence
            else {}
        ),
        "changed": evidence["changed"],
        "declared": None if declared is None else declared.as_dict(),
    }


def _scheduled(instance: Instance, rows: Sequence[BatchRow]) -> dict[str, Any]:
    """What a point with a schedule says more: which, and how many tokens answer that are gone.

    ``ghosts`` is None where no message was looked at: a results file does not keep it.
    """
    if instance.schedule is None:
        return {}
    counts = [count for row in rows for count in row.ghosts or () if count is not None]
    return {"schedule": instance.schedule, "ghosts": sum(counts) if counts else None}


def together_of(cells: Sequence[Cell], verdicts: Sequence[PointVerdict]) -> list[dict[str, Any]]:
    """For every setting that several adversaries played one verdict a null, as plain data."""
    settings: dict[tuple[Any, ...], list[tuple[Instance, PointVerdict]]] = {}
    for cell, point in zip(cells, verdicts, strict=True):
        setting = target_name(cell.target), cell.params, cell.budget
        settings.setdefault(setting, []).append((cell.instance, point))
    found = []
    for (compressor, params, budget), judged in settings.items():
        if len(judged) > 1:
            instances, points = zip(*judged, strict=True)
            for verdict in judge_adversaries(points, [null_of(one) for one in instances]):
                worst = instances[verdict.worst]
                found.append({
                    "compressor": compressor,
                    "params": dict(params),
                    "budget": None if budget is None else float(budget),
                    **verdict.as_dict(),
                    "worst": {"queries": worst.queries, "basis": worst.basis, "bob": worst.bob},
                })  # fmt: skip
    return found


def error_text(point: dict[str, Any]) -> str:
    """The error in four decimals, or as a count if these would round it to zero.

    >>> error_text({"bit_error": {"estimate": 0.0625}, "wrong_bits": 4096, "asked_bits": 65536})
    '0.0625'
    >>> error_text({"bit_error": {"estimate": 4.6e-05}, "wrong_bits": 3, "asked_bits": 65536})
    '3 of 65,536'
    """
    if 0 < point["bit_error"]["estimate"] < SMALL_ERROR:
        return f"{point['wrong_bits']:,} of {point['asked_bits']:,}"
    return f"{point['bit_error']['estimate']:.4f}"


def guarantee_text(point: dict[str, Any]) -> str:
    """The verdict on the guarantee, with its null if not the theorem's; if broken, where.

    >>> guarantee_text({
    ...     "guarantee": {"verdict": "broken", "worst_bucket": None, "worst_row": 8,
    ...                   "null": {"name": "euclidean"}},
    ...     "changed": None,
    ... })
    'broken (euclidean, row 8)'
    """
    guarantee = point["guarantee"]
    said, age, row = str(guarantee["verdict"]), guarantee["worst_bucket"], guarantee["worst_row"]
    null = guarantee["null"]["name"]
    marks = [] if null == "coordinate" else [null]
    if said == "broken" and (age, row) != (None, None):
        marks.append(f"age {age}" if age is not None else f"row {row}")
    said += f" ({', '.join(marks)})" if marks else ""
    return said + ("" if point["changed"] is None else ", changed")


def series_label(point: dict[str, Any]) -> str:
    """The name of the curve a point belongs to: compressor and parameters, without the budget.

    >>> series_label({"compressor": "quantized", "params": {"bits": 4}})
    'quantized bits=4'
    """
    return " ".join([point["compressor"], *(f"{k}={v}" for k, v in point["params"].items())])


def curve_label(point: dict[str, Any]) -> str:
    """The same with the stream, if that is not the reduction's default.

    >>> curve_label({"compressor": "h2o", "params": {}, "queries": "decoy", "basis": "rotated"})
    'h2o, decoy queries, rotated'
    """
    parts = [series_label(point)]
    if point["queries"] != "zero":
        parts.append(f"{point['queries']} queries")
    if point["basis"] != "literal":
        parts.append(point["basis"])
    if point.get("bob", "threshold") != "threshold":
        parts.append(f"{point['bob']} Bob")
    return ", ".join(parts)


def budget_text(budget: float | Fraction | None) -> str:
    """A budget as people write it.

    >>> budget_text(0.015625), budget_text(0.3), budget_text(None)
    ('1/64', '3/10', 'free')
    """
    return "free" if budget is None else str(Fraction(budget).limit_denominator(4096))
