"""The sentence that sums up an attack: what is lost at what memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .render import tell

if TYPE_CHECKING:
    from ..runs.attack_report import Report


def print_summary(report: Report) -> None:
    """A sentence for every setting, and for every adversary where there are several.

    Where one is broken at a memory at which a quantiser is not, a last one says so.
    """
    from ..runs.points import curve_label
    from ..runs.yardstick import yardstick

    groups: dict[str, list[dict[str, Any]]] = {}
    for point in report.points:
        groups.setdefault(curve_label(point), []).append(point)
    for label, points in groups.items():
        tell(summary(label, points))
    played = [one.cell.instance for one in report.outcomes if one.rows]
    found = yardstick(list(zip(played, report.points, strict=True)))
    if found is not None:
        tell(found.sentence())


def summary(label: str, points: Sequence[dict[str, Any]]) -> str:
    """What the rows say together, in a sentence or two.

    >>> error = {"estimate": 0.375}
    >>> summary("window", [{"budget": 0.25, "guarantee": {"verdict": "broken"}, "changed": None,
    ...     "ledger": {"verdict": "not-excluded"}, "bit_error": error, "bits_per_secret_bit": 8.0}])
    'window is broken at 1/4 (37.5 % of the bits are wrong, where guessing has 50 %).'
    """
    from ..runs.points import budget_text

    parts = []
    for verdict in ("impossible", "changed", "broken", "undecided", "not-broken"):
        own = [point for point in points if _head(point) == verdict]
        if not own:
            continue
        errors = [100 * float(point["bit_error"]["estimate"]) for point in own]
        low, high = (f"{value:.3g}" for value in (min(errors), max(errors)))
        said = f"{low} %" if low == high else f"{low} to {high} %"
        names = [budget_text(point["budget"]) for point in own]
        where = ", ".join(names) if len(names) < 4 else f"{names[0]} to {names[-1]}"
        mark = ", where guessing has 50 %" if verdict == "broken" else ""
        parts.append(f"{verdict} at {where} ({said} of the bits are wrong{mark})")
    return f"{label} is {'; '.join(parts)}."


def _head(point: dict[str, Any]) -> str:
    if point["ledger"]["verdict"] == "impossible":
        return "impossible"
    return "changed" if point["changed"] is not None else str(point["guarantee"]["verdict"])
