"""A point in the form of ``attack --json``, from results rows alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from ..protocols.evidence.nulls import null_of
from ..protocols.evidence.verdicts import LEVEL, PointVerdict
from .points import cell_of, judge_rows
from .rows import BatchRow, prefixes

SMALL_ERROR = 1e-3
"""Below it an error is told as a count, k of N bits."""


def point_of(rows: Sequence[BatchRow], level: float = LEVEL) -> dict[str, Any]:
    """One cell's contiguous batches as a point: plain data, no NaN.

    ``secret``, ``asked``, ``charged`` and ``wrong`` bits are sums over the messages; ``bit_error``
    is wrong over asked; ``error_floor`` is h^-1(1 - charged/secret); ``payload_bits`` is the
    charged bits without framing; ``over_budget`` says that some message was charged more than its
    budget; ``changed`` is not None if the compressor changed during the attack.
    """
    return _point(rows, judge_rows(rows, level))


def points_of(rows: Iterable[BatchRow], level: float = LEVEL) -> list[dict[str, Any]]:
    """Every cell of some rows as a point, in the order in which the cells first appear."""
    return [point_of(run, level) for run in prefixes(list(rows)).values() if run]


def _point(rows: Sequence[BatchRow], verdict: PointVerdict) -> dict[str, Any]:
    cell = cell_of(rows[0].spec_dict)
    instance = cell.instance
    budget_bits = cell.budget_bits
    largest = max(max(row.charged) for row in rows)
    isolations = sorted({row.isolation for row in rows})
    evidence = verdict.as_dict()
    return {
        "compressor": cell.target,
        "params": dict(cell.params),
        "source": rows[0].source,
        "reduction": instance.reduction,
        "keys": instance.keys_played,
        "n": instance.n,
        "d": instance.d,
        "window": instance.window,
        "layers": instance.layers,
        "heads": instance.heads,
        "queries": instance.queries,
        "basis": instance.basis,
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
        "bit_error": evidence["bit_error"],
        "error_floor": evidence["error_floor"],
        "ledger": evidence["ledger"],
        "guarantee": evidence["guarantee"] | {"null": null_of(instance).as_dict()},
        "changed": evidence["changed"],
    }


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
