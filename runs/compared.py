"""Targets side by side in the same game: what each loses at what memory, and who is not beaten.

The attack on several targets (:mod:`.several`) told for choosing. It is played in the literal basis
and in the rotated one: two-valued numbers flatter a quantiser, rotated ones do not. A third game
hides bits in keys too (``reductions.key_payload``), for keys and values need not have the same
bits. Memory is the charged bits of the message for each number of K and V.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from ..compressors.catalog import is_builtin
from ..compressors.engines.schemes import is_engine
from ..errors import BadInput, BudgetTooSmall
from ..protocols.game.index_game import Session
from ..protocols.game.instance import Instance
from ..protocols.game.instances import BASES, KeyPayload
from ..protocols.players.template import held
from .attack import Attack
from .attack_report import Report
from .points import series_label
from .runner import Step
from .several import play_several

BUDGETS = (Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), Fraction(1))
MESSAGES = 8


@dataclass(frozen=True)
class Row:
    """One setting of one target.

    ``bits_per_number``: charged bits of the message for each number of K and V, the largest of the
    games. ``literal``, ``rotated``: the shares of wrong bits that were hidden in values; ``high``:
    the upper end of the interval of the worse one. ``keys``: the share of those hidden in keys.
    None where a game cannot be played. ``pareto``: no other row has at most its memory and at
    most its errors, and less of one of them. ``points``: as in ``attack --json``. ``natural``: by
    how much the loss of a model on natural text grows, in nats a token; None if not measured.
    """

    target: str
    budget: float | None
    bits_per_number: float
    literal: float
    rotated: float | None
    keys: float | None
    high: float
    messages: int
    points: tuple[Mapping[str, Any], ...]
    pareto: bool = False
    natural: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"points": list(self.points)}


@dataclass(frozen=True)
class Compared:
    """Rows in the order of their memory, and the attack that they tell of.

    ``as_they_are``: of each target that does not take bits of its own for keys and values, why.
    """

    rows: tuple[Row, ...]
    report: Report
    as_they_are: Mapping[str, str]


def compare(
    targets: Sequence[str],
    games: Sequence[Instance],
    *,
    k_bits: Sequence[Any] = (),
    v_bits: Sequence[Any] = (),
    budgets: Sequence[Fraction | None] | None = None,
    messages: int = MESSAGES,
    most: float | None = None,
    sweep: Mapping[str, Sequence[Any]] | None = None,
    progress: Callable[[Step], None] | None = None,
    **options: Any,
) -> Compared:
    """Play every target in some games, the literal and the rotated one, say, and one with bits in
    keys.

    ``k_bits``, ``v_bits``: every pair is a setting of each target that has these parameters; the
    memory then follows from them, and a target that has them not is played at the budgets.
    ``most``: rows of more bits a number are left out. ``options`` are fields of ``Attack``, for all
    targets.

    Raises what ``play_several`` raises, and BadInput if nothing is left.
    """
    pairs = {name: bits for name, bits in (("k_bits", k_bits), ("v_bits", v_bits)) if bits}
    first, *others = games
    hidden = _in_keys(first)
    plans, as_they_are = [], {}
    for target in targets:
        plan = Attack(
            target,
            first,
            others=[*others, *([hidden] if hidden and not is_engine(target) else [])],
            budgets=budgets,
            usual=BUDGETS,
            messages=messages,
            sweep=sweep or {},
            **options,
        )
        apart = replace(plan, sweep={**plan.sweep, **pairs}, budgets=(None,))
        if pairs and (refusal := _refusal(apart)):
            as_they_are[target] = refusal
        plans.append(apart if pairs and target not in as_they_are else plan)
    report = play_several(plans, progress=progress)
    rows = _rows(report)
    kept = [row for row in rows if most is None or row.bits_per_number <= most]
    if not kept:
        least = min(row.bits_per_number for row in rows)
        raise BadInput(
            f"no setting takes at most {most:g} bits a number: the smallest takes {least:.3g}."
        )
    rows = sorted(pareto(kept), key=lambda row: row.bits_per_number)
    return Compared(tuple(rows), report, as_they_are)


def _in_keys(game: Instance) -> KeyPayload | None:
    """The game of the same size that hides bits in keys; None where its keys have no room."""
    try:
        found = KeyPayload(n=game.n, d=game.d)
        found.build()
    except BadInput:
        return None
    return found


def _refusal(plan: Attack) -> str | None:
    """Why a target takes none of a plan's settings; None if it takes some."""
    if is_engine(plan.target):
        return f"{plan.target} has its own parameters: name them behind its '?'."
    cells = [cell for cell in plan.cells() if cell.instance == plan.instance]
    with held(), Session("inline" if is_builtin(plan.target) else plan.isolation, plan.limits) as s:
        found = s.probe(cells)
    refused = [str(one) for one in found if isinstance(one, BadInput) and not _too_small(one)]
    return refused[0] if len(refused) == len(cells) else None


def _too_small(error: BadInput) -> bool:
    return isinstance(error, BudgetTooSmall)


def _rows(report: Report) -> list[Row]:
    instances = [outcome.cell.instance for outcome in report.outcomes if outcome.rows]
    pairs: dict[tuple[str, float | None], dict[str, tuple[Instance, Mapping[str, Any]]]] = {}
    for instance, point in zip(instances, report.points, strict=True):
        game = "keys" if isinstance(instance, KeyPayload) else instance.basis
        pairs.setdefault((series_label(point), point["budget"]), {})[game] = instance, point
    rows: dict[tuple[str, float], Row] = {}
    for (label, budget), found in pairs.items():
        errors = [found[basis][1]["bit_error"] for basis in BASES if basis in found]
        row = Row(
            label,
            budget,
            max(_bits(*one) for one in found.values()),
            float(errors[0]["estimate"]),
            float(errors[1]["estimate"]) if len(errors) > 1 else None,
            _wrong_in_keys(*found["keys"]) if "keys" in found else None,
            max(float(error["high"]) for error in errors),
            min(int(point["messages"]) for _, point in found.values()),
            tuple(point for _, point in found.values()),
        )
        # Of one size at several budgets it is one setting.
        rows.setdefault((label, row.bits_per_number), row)
    return list(rows.values())


def _bits(instance: Instance, point: Mapping[str, Any]) -> float:
    """Charged bits a number: a 16-bit cache has 16."""
    whole = instance.shape.cache_bits_16 / 16
    return float(point["charged_bits"] / point["messages"] / whole)


def _wrong_in_keys(instance: Instance, point: Mapping[str, Any]) -> float | None:
    """The share of wrong bits among the payloads, which stand behind the d bits of the value."""
    channel = point["wrong_by_place"]["channel"]
    played = point["messages"] - point["failed"]
    if channel is None or not played:
        return None
    payload = channel[instance.d :]
    return float(sum(payload) / (played * instance.secret_rows * len(payload)))


def pareto(rows: Sequence[Row]) -> list[Row]:
    """The rows with their mark: nobody is at least as good in all and better in one.

    >>> a, b = (Row("x", None, bits, .1, .2, .1, .3, 8, ()) for bits in (2.0, 4.0))
    >>> [row.pareto for row in pareto([a, b])]
    [True, False]
    """

    return [replace(row, pareto=not any(_beats(other, row) for other in rows)) for row in rows]


def _beats(one: Row, other: Row) -> bool:
    """At least as good in all that is known of both, and better in one."""
    marks = [
        (a, b)
        for a, b in (
            (one.bits_per_number, other.bits_per_number),
            (one.literal, other.literal),
            (one.rotated, other.rotated),
            (one.keys, other.keys),
        )
        if a is not None and b is not None
    ]
    return all(a <= b for a, b in marks) and any(a < b for a, b in marks)
