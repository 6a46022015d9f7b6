"""The sentences below the tables of an attack: its sum, maps, gaps, failures, what was judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .render import number, tell

if TYPE_CHECKING:
    from ..protocols.evidence.declared import Declared
    from ..runs.attack_report import Gap, Report


def print_summary(report: Report) -> None:
    """A sentence for every setting, and for every adversary where there are several.

    Where one is broken at a memory at which a quantiser is not, a last one says so.
    """
    from ..runs.points import curve_label

    groups: dict[str, list[dict[str, Any]]] = {}
    for point in report.points:
        groups.setdefault(curve_label(point), []).append(point)
    for label, points in groups.items():
        tell(summary(label, points))
    if any(point["guarantee"]["verdict"] == "broken" for point in report.points):
        from ..runs.yardstick import yardstick

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


def print_notes(report: Report, verbose: bool) -> None:
    """Say what the tables do not; ``verbose``: also what was judged, and with what power."""
    for point in report.points:
        if point["map"] is not None and point["map"]["kind"] != "none":
            tell(f"map, {setting(point, report)}: {point['map']['sentence']}")
        for one in point.get("wrong_by_kind", ()):
            tell(f"layers, {setting(point, report)}: {_kind(one)}")
    for sentence in _gaps(report):
        tell(f"gap: {sentence}")
    for sentence in report.failures()[:5]:
        tell(f"failed: {sentence}")
    if any(point["over_budget"] for point in report.points):
        tell(
            "over: the message is larger than the budget; the point is shown at its measured "
            "memory."
        )
    ghosts = sum(point.get("ghosts") or 0 for point in report.points)
    if ghosts:
        tell(
            f"ghosts: {ghosts} tokens that the schedule took back still answer (not counted as "
            "bits); check names them and the shortest schedule."
        )
    if not report.builtin and any(point["reduction"] == "tensor" for point in report.points):
        tell("rule: answers were held to tensor attention, which public['attention'] asks for.")
    verdicts = {point["guarantee"]["verdict"] for point in report.points}
    average = [point for point in report.points if "average_case" in point]
    if "not-broken" in verdicts and not average:
        tell(
            "not-broken means: at most 1/10 on average over each age bucket, on this stream, for "
            "random secrets. A single row, channel or head may be worse."
        )
    if average:
        tell(
            "average case: the verdict is about the mean over keys, tokens and bits, without the "
            "rows that Bob guesses. The same ages or tokens may always be lost, so there are no "
            "age buckets and no rows in it."
        )
        tell(_average(average))
    elif report.points and not any(p["guarantee"]["messages_by_row"] for p in report.points):
        tell("rows: these results have no counts by row, so single rows were not tested.")
    for point in report.points:
        guarantee = point["guarantee"]
        rate = number(guarantee["bits_per_secret_bit"])
        if guarantee["verdict"] != "undecided" and rate != number(point["bits_per_secret_bit"]):
            tell(
                f"{setting(point, report)}: {guarantee['verdict']} rests on the first "
                f"{guarantee['messages']} messages, at M/N = {rate}."
            )
        if point["changed"] is not None:
            tell(f"{setting(point, report)}: {point['changed']['sentence']}")
    _print_declared(report, verbose)
    nulls = {
        null["name"]: null["sentence"] for p in report.points for null in [p["guarantee"]["null"]]
    }
    for name, sentence in nulls.items():
        if not verbose and name == "coordinate":
            continue
        tell(f"guarantee judged, {name}: {sentence}.")
    for point in report.points:
        if "soft" in point:
            one = point["soft"]
            tell(
                f"soft certificate, linear Bob, {setting(point, report)}: "
                f"{one['verdict']}, surprise {one['surprise_bits']:.0f} bits, where the counts of "
                f"right and wrong bits have {point['ledger']['surprise_bits']:.0f}."
            )
    if verbose and (sentence := _power(report.points)):
        tell(f"not-excluded: {sentence}")
    if report.impossible:
        tell(
            "impossible: no message of this length does this well: there is a hidden channel, "
            "or a bug in kvbarrier."
        )


def _kind(one: dict[str, Any]) -> str:
    """What a kind of layers keeps of what it holds."""
    layers = len(one["layers"])
    named = f"layer {one['layers'][0]}" if layers == 1 else f"{layers} layers"
    verb = ("slides", "attends to all") if layers == 1 else ("slide", "attend to all")
    what = verb[0] if one["slides"] else verb[1]
    return (
        f"{named} that {what}, {one['tokens']} tokens{' in each' if layers > 1 else ''}: "
        f"{one['wrong_bits']:,} of {one['asked_bits']:,} bits are wrong."
    )


def _print_declared(report: Report, verbose: bool) -> None:
    """What was declared and whether it holds, apart from the theorem's verdict."""
    from ..protocols.check.case import Case
    from ..runs.points import budget_text, series_label

    holds: dict[str, list[tuple[str, Declared]]] = {}
    several = len({series_label(point) for point in report.points}) > 1
    for point, one in zip(report.points, report.declared, strict=False):
        if one is None:
            continue
        if verbose or one.verdict != "as-declared" or one.unjudged:
            tell(f"{setting(point, report)}: {one.sentence}")
        else:
            name = f"{series_label(point)} is " if several else ""
            holds.setdefault(name, []).append((budget_text(point["budget"]), one))
    for name, kept in holds.items():
        where = ", ".join(dict.fromkeys(budget for budget, _ in kept))
        words = list(dict.fromkeys(str(one.declaration) for _, one in kept))
        said = words[0] if len(words) == 1 else f"{words[0]}, and so on"
        if len(kept) == 1 and not several:
            tell(f"budget {where}: {kept[0][1].sentence}")
        else:
            tell(f"{name}as-declared at {where}: {said}.")
    case = report.counterexample
    if isinstance(case, Case):
        tell(f"counterexample, played again in fresh processes: {case.found}")
    elif case is not None:
        tell(f"counterexample: {case}")


def _average(points: Sequence[dict[str, Any]]) -> str:
    """Theta and the bound of the point with the most messages: all play the same coins."""
    from ..protocols.evidence.average import average_sentence

    said = max(points, key=lambda point: int(point["messages"]))["average_case"]
    return f"bound: {average_sentence(said)}"


def _power(points: Sequence[dict[str, Any]]) -> str:
    """What the ledger could have caught where it excludes nothing; empty without such points."""
    left = [p["ledger"]["could_catch"] for p in points if p["ledger"]["verdict"] == "not-excluded"]
    seen = [one["error"] for one in left if one["error"] is not None]
    rates = [one["bits_per_secret_bit"] or 0.0 for one in left if one["error"] is None]
    parts = []
    if rates:
        needed = f"a message of at most {_down(max(rates), 3)} bits per secret bit"
        parts.append(
            f"at {len(rates)} of {len(points)} points no cheat could be caught, not even one "
            f"without errors; to catch one takes {needed if max(rates) else 'more messages'}"
        )
    if seen:
        ends = dict.fromkeys(f"{_down(100 * error, 1)} %" for error in (min(seen), max(seen)))
        parts.append(
            f"at {len(seen)} of {len(points)} points a cheat is caught if its error is at most "
            f"{' to '.join(ends)}"
        )
    return f"{'; '.join(parts)}." if parts else ""


def _down(value: float, digits: int) -> str:
    # What is said to be caught is: rounded down.
    return f"{math.floor(10**digits * value) / 10**digits:g}"


def _gaps(report: Report) -> list[str]:
    """One sentence for all budgets that are too small for a setting, for the same reason."""
    from ..runs.points import budget_text, series_label

    groups: dict[tuple[str, int], list[Gap]] = {}
    for gap in report.gaps:
        label = series_label({"compressor": gap.compressor, "params": gap.params})
        groups.setdefault((label, gap.minimum_bits), []).append(gap)
    return [
        f"{label} does not fit into {', '.join(budget_text(gap.budget) for gap in gaps)}: it "
        f"needs {bits} bits, {as_budget(gaps[0].minimum_budget)}."
        for (label, bits), gaps in groups.items()
    ]


def as_budget(least: Fraction) -> str:
    """The least budget as the option that asks for it."""
    # Upwards: a budget that is rounded down does not suffice.
    share = f"{math.ceil(10_000 * least) / 10_000:g}"
    return f"--budget {share}" if least <= 2 else f"{share} 16-bit caches: --budget free"


def setting(point: dict[str, Any], report: Report) -> str:
    """What tells a point from the others of the report."""
    from ..runs.points import budget_text, series_label

    parts = [f"budget {budget_text(point['budget'])}"]
    if len({series_label(one) for one in report.points}) > 1:
        parts.insert(0, series_label(point))
    if report.together:
        parts.append(stream(point))
    return ", ".join(parts)


def stream(point: dict[str, Any]) -> str:
    """The adversary of a point: Alice's queries, the basis, and Bob if he is another."""
    bob = "" if point["bob"] == "threshold" else f", {point['bob']} Bob"
    return f"{point['queries']}, {point['basis']}{bob}"
