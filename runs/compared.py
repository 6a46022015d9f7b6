"""Targets side by side in the same game: what each loses at what memory, and who is not beaten.

The attack on several targets (:mod:`.several`) told for choosing. It is played in the literal basis
and in the rotated one: two-valued numbers flatter a quantiser, rotated ones do not. Memory is the
charged bits of the message for each number of K and V.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ..errors import BadInput
from ..protocols.game.instances import Index
from .attack import Attack
from .attack_report import Report
from .points import series_label
from .runner import Step
from .several import play_several

BUDGETS = (Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), Fraction(1))
MESSAGES = 8
BASES = ("literal", "rotated")


@dataclass(frozen=True)
class Row:
    """One setting of one target.

    ``bits_per_number``: charged bits of the message for each number of K and V, the larger of the
    two games. ``literal``, ``rotated``: the shares of wrong bits; ``high``: the upper end of the
    interval of the worse one. ``pareto``: no other row has at most its memory and at most its
    errors, and less of one of them. ``points``: as in ``attack --json``.
    """

    target: str
    budget: float | None
    bits_per_number: float
    literal: float
    rotated: float
    high: float
    messages: int
    points: tuple[Mapping[str, Any], ...]
    pareto: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "target": self.target,
            "budget": self.budget,
            "bits_per_number": self.bits_per_number,
            "literal": self.literal,
            "rotated": self.rotated,
            "high": self.high,
            "messages": self.messages,
            "pareto": self.pareto,
            "points": list(self.points),
        }


def compare(
    targets: Sequence[str],
    instance: Index,
    *,
    budgets: Sequence[Fraction | None] | None = None,
    messages: int = MESSAGES,
    most: float | None = None,
    progress: Callable[[Step], None] | None = None,
    **options: Any,
) -> tuple[list[Row], Report]:
    """Play every target; rows in the order of their memory, and the attack that they tell of.

    ``most``: rows of more bits a number are left out. ``options`` are fields of ``Attack``, for all
    targets alike.

    Raises what ``play_several`` raises, and BadInput if nothing is left.
    """
    plans = [
        Attack(
            target,
            replace(instance, basis=BASES[0]),
            others=[replace(instance, basis=BASES[1])],
            budgets=budgets,
            usual=BUDGETS,
            messages=messages,
            **options,
        )
        for target in targets
    ]
    report = play_several(plans, progress=progress)
    rows = _rows(report, instance)
    kept = [row for row in rows if most is None or row.bits_per_number <= most]
    if not kept:
        least = min(row.bits_per_number for row in rows)
        raise BadInput(
            f"no setting takes at most {most:g} bits a number: the smallest takes {least:.3g}."
        )
    return sorted(pareto(kept), key=lambda row: row.bits_per_number), report


def _rows(report: Report, instance: Index) -> list[Row]:
    numbers = 2 * instance.n * instance.d * instance.layers * instance.heads
    pairs: dict[tuple[str, float | None], list[Mapping[str, Any]]] = {}
    for point in report.points:
        pairs.setdefault((series_label(point), point["budget"]), []).append(point)
    rows: dict[tuple[str, float], Row] = {}
    for (label, budget), points in pairs.items():
        by_basis = {point["basis"]: point for point in points}
        errors = [by_basis[basis]["bit_error"] for basis in BASES]
        charged = max(point["charged_bits"] / point["messages"] for point in points)
        row = Row(
            label,
            budget,
            charged / numbers,
            float(errors[0]["estimate"]),
            float(errors[1]["estimate"]),
            max(float(error["high"]) for error in errors),
            min(int(point["messages"]) for point in points),
            tuple(points),
        )
        # Of one size at several budgets it is one setting.
        rows.setdefault((label, row.bits_per_number), row)
    return list(rows.values())


def pareto(rows: Sequence[Row]) -> list[Row]:
    """The rows with their mark: nobody is at least as good in all three and better in one.

    >>> a, b = (Row("x", None, bits, .1, .2, .3, 8, ()) for bits in (2.0, 4.0))
    >>> [row.pareto for row in pareto([a, b])]
    [True, False]
    """

    def marks(row: Row) -> tuple[float, float, float]:
        return (row.bits_per_number, row.literal, row.rotated)

    return [
        replace(
            row,
            pareto=not any(
                all(a <= b for a, b in zip(marks(other), marks(row), strict=True))
                and marks(other) != marks(row)
                for other in rows
            ),
        )
        for row in rows
    ]
