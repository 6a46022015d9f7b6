"""Gates: one line that turns an attack into a check in a user's CI.

    bit_error<=0.1 @ budget=0.25          the point at a quarter of the 16-bit cache
    bit_error.estimate<=0.1               every point, by its estimate alone
    guarantee!=broken @ window=128        by verdict, at a parameter of the compressor
    declared==as-declared                 fails as well where nothing is declared, or not judged

``bit_error`` is known up to an interval, and such a gate is about the error, not the estimate: it
holds if the whole interval satisfies it, is broken if none of it does, and otherwise is undecided,
which fails too. More messages narrow the interval; ``.estimate``, ``.low`` and ``.high`` test the
estimate or one end of the interval.

A gate with several matching points holds if all of them satisfy it. A point whose message is larger
than its budget does not count for that budget: it fails every gate that selects by budget.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..compressors.plugin.values import number
from ..errors import BadInput, did_you_mean
from .points import budget_text, series_label

Point = Mapping[str, Any]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_METRICS: dict[str, Callable[[Point], Any]] = {
    "bit_error": lambda p: p["bit_error"]["estimate"],
    "bit_error.estimate": lambda p: p["bit_error"]["estimate"],
    "bit_error.low": lambda p: p["bit_error"]["low"],
    "bit_error.high": lambda p: p["bit_error"]["high"],
    "bits_per_secret_bit": lambda p: p["bits_per_secret_bit"],
    "compression_ratio": lambda p: p["compression_ratio"],
    "surprise_bits": lambda p: p["ledger"]["surprise_bits"],
    "failed": lambda p: p["failed"],
    "guarantee": lambda p: p["guarantee"]["verdict"],
    "ledger": lambda p: p["ledger"]["verdict"],
    "declared": lambda p: None if p["declared"] is None else p["declared"]["verdict"],
}
_INTERVALS: dict[str, Callable[[Point], tuple[float, float]]] = {
    "bit_error": lambda p: (p["bit_error"]["low"], p["bit_error"]["high"]),
}
_WORDS = {
    "guarantee": ("broken", "not-broken", "undecided"),
    "ledger": ("impossible", "not-excluded"),
    "declared": ("as-declared", "not-as-declared", "undecided"),
}
_SHAPE = re.compile(r"^\s*([\w.]+)\s*(<=|>=|==|!=|<|>)\s*([^@\s]+)\s*(?:@\s*(.+?))?\s*$")


@dataclass(frozen=True)
class Gate:
    """A parsed gate; ``judge`` says whether it holds, with one sentence for each failing point."""

    text: str
    metric: str
    relation: str
    threshold: float | str
    selectors: tuple[tuple[str, str], ...]

    def check(self, settings: Sequence[Point]) -> None:
        """Raise BadInput unless the gate selects a setting (budget and params) to be played."""
        if not self._chosen(settings):
            wanted = ", ".join(f"{name}={value}" for name, value in self.selectors)
            raise BadInput(
                f"no point matches the gate '{self.text}' ({wanted or 'no points'}): run the "
                "attack with that budget or parameter."
            )

    def judge(self, points: Sequence[Point], gaps: Sequence[Point] = ()) -> list[str]:
        """The failures, one sentence each; empty when the gate holds.

        A setting that does not fit into its budget (a gap, with its ``sentence``) fails the gates
        that select it. Raises BadInput when no point and no gap matches.
        """
        chosen, refused = self._chosen(points), self._chosen(gaps) if self.selectors else []
        if not refused:
            self.check(points)
        by_budget = any(name == "budget" for name, _ in self.selectors)
        failures = [f"{self.text}: {gap['sentence']}" for gap in refused]
        for point in chosen:
            text = f"{self.text}: {_name(point)}" if len(chosen) > 1 else self.text
            if by_budget and point.get("over_budget"):
                failures.append(f"{text}: the message is larger than the budget allows")
            elif failure := self._failure(point):
                failures.append(f"{text}: {failure}")
        return failures

    def _failure(self, point: Point) -> str | None:
        """Why one point does not pass; None if it does."""
        measured = _METRICS[self.metric](point)
        holds = _OPERATORS[self.relation]
        if self.metric not in _INTERVALS:
            if measured is not None and holds(measured, self.threshold):
                return None
            return f"measured {self.metric} = {measured}"
        low, high = _INTERVALS[self.metric](point)
        threshold = float(self.threshold)
        # Of == and != both ends may say the same while the threshold lies between them.
        if holds(low, threshold) != holds(high, threshold) or low < threshold < high:
            return (
                f"undecided: measured {measured:.4g}, and the interval from {low:.4g} to "
                f"{high:.4g} contains {threshold:g}; play more --messages, or use "
                f"{self.metric}.estimate"
            )
        return None if holds(low, threshold) else f"measured {self.metric} = {measured}"

    def _chosen(self, points: Sequence[Point]) -> list[Point]:
        return [p for p in points if all(_matches(p, *pair) for pair in self.selectors)]


def parse_gate(text: str) -> Gate:
    """Parse a gate; BadInput says what is wrong with it.

    >>> gate = parse_gate("bit_error<=0.1 @ budget=0.25")
    >>> gate.metric, gate.relation, gate.threshold, gate.selectors
    ('bit_error', '<=', 0.1, (('budget', '0.25'),))
    """
    match = _SHAPE.match(text)
    if not match:
        raise BadInput(
            f"the gate '{text}' must be METRIC<=NUMBER, optionally followed by @ budget=0.25."
        )
    metric, relation, value, rest = match.groups()
    if metric not in _METRICS:
        raise BadInput(f"there is no metric '{metric}'.{did_you_mean(metric, _METRICS)}")
    selectors = []
    for part in (rest or "").split(",") if rest else []:
        name, equals, wanted = part.partition("=")
        if not equals or not name.strip() or not wanted.strip():
            raise BadInput(f"the gate '{text}' selects by '{part.strip()}': write name=value.")
        selectors.append((name.strip(), wanted.strip()))
    return Gate(text, metric, relation, _threshold(text, metric, relation, value), tuple(selectors))


def _name(point: Point) -> str:
    return f"{series_label(dict(point))} at {budget_text(point['budget'])}"


def _threshold(text: str, metric: str, relation: str, value: str) -> float | str:
    if metric in _WORDS:
        if value not in _WORDS[metric] or relation not in ("==", "!="):
            raise BadInput(
                f"the gate '{text}' must compare {metric} by == or != with one of {_WORDS[metric]}."
            )
        return value
    try:
        return number(value)
    except ValueError:
        raise BadInput(
            f"the gate '{text}' compares with '{value}', which is not a number."
        ) from None


def _matches(point: Point, name: str, wanted: str) -> bool:
    if name != "budget" and name not in point["params"]:
        return False
    value = point["budget"] if name == "budget" else point["params"][name]
    if name == "budget" and value is None:
        return wanted == "free"
    try:
        return value is not None and abs(number(wanted) - float(value)) < 1e-12
    except ValueError:
        return str(value) == wanted
