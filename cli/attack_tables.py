"""What ``kvbarrier attack`` shows to people: tables, gaps, and the sentences below them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .render import number, print_table, say

if TYPE_CHECKING:
    from ..runs.attack import Gap, Report


def print_report(report: Report) -> None:
    """A table for every setting, one for all adversaries together, and the notes below them."""
    from ..runs.points import budget_text, series_label

    columns = [
        "budget", "M/N", "ratio", "bit error", "interval (95 %)", "floor", "ledger", "guarantee",
        "messages",
    ]  # fmt: skip
    several = bool(report.together)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for point in report.points:
        groups.setdefault((series_label(point), _game(point, several)), []).append(point)
    for (label, game), points in groups.items():
        rows = [
            [*([_stream(point)] if several else []), *_row(point, budget_text(point["budget"]))]
            for point in points
        ]
        caption = (
            "M/N: charged bits per secret bit. ratio: against a 16-bit K and V cache. floor: no "
            "algorithm at this M/N has a smaller error."
        )
        if any("age " in row[-2] for row in rows):
            caption += " age: the bucket with the highest error of 16, 0 the oldest, 15 the newest."
        if any("row" in row[-2] for row in rows):
            caption += " row: the row with the most evidence, 0 the oldest."
        header = ["adversary", *columns] if several else columns
        print_table(f"{label}: {game}", header, rows, caption=caption)
    _print_together(report)
    _print_engine(report)
    _print_notes(report)


def _print_together(report: Report) -> None:
    """The adversaries of each null as one line: the choice among them is corrected for."""
    from ..runs.points import budget_text, series_label

    if not report.together:
        return
    rows, streams = [], {_stream(point) for point in report.points}
    for one in report.together:
        error = one["bit_error"]
        rows.append([
            series_label({"compressor": report.target, "params": one["params"]}),
            budget_text(one["budget"]),
            f"{one['guarantee']['null']['name']} ({one['number']})",
            one["guarantee"]["verdict"],
            _stream(one["worst"]),
            f"{error['estimate']:.4f}",
            f"{error['low']:.4f} to {error['high']:.4f} ({error['level']:.2%})",
        ])  # fmt: skip
    print_table(
        f"all {len(streams)} adversaries together, one line per null",
        ["target", "budget", "null", "guarantee", "worst adversary", "bit error", "interval"],
        rows,
        caption="In brackets: the number of adversaries of a null. broken is decided by the "
        "average of their e-values, not-broken by all of them. The interval of the "
        "worst one holds for all of them at once.",
    )


def _print_engine(report: Report) -> None:
    """The memories of an engine's cache side by side: in real packages they differ."""
    from ..runs.points import series_label

    if not report.engine:
        return
    rows, cache = [], report.outcomes[0].cell.instance.shape.cache_bits_16 / 8
    for one in report.engine:
        held, said = one["memories"], one["memories"]["claimed"]
        parts = [held[name] for name in ("logical", "resident", "side")]
        rows.append([
            series_label({"compressor": report.target, "params": one["params"]}),
            "-" if said is None else f"{said / cache:.3f}",
            *(f"{part / cache:.3f}" for part in parts),
            held["basis"] or "-",
        ])  # fmt: skip
    print_table(
        "what the cache occupies, as a share of the 16-bit K and V cache",
        ["target", "claimed", "logical", "resident", "side", "claimed by"],
        rows,
        caption="logical: all reachable tensors. resident: the storages behind them. side: parked "
        "outside the cache. The message itself is M/N above. "
        + ", ".join(f"{k} {v}" for k, v in report.engine[0]["versions"].items()),
    )


def _game(point: dict[str, Any], several: bool = False) -> str:
    sizes = {
        "n": point["n"],
        "d": point["d"],
        "W": point["window"],
        "beta": point.get("beta"),
        "C": f"{point['scale']:.3f}",
    }
    if point["layers"] * point["heads"] > 1:
        sizes |= {"layers": point["layers"], "heads": point["heads"]}
    said = ", ".join(f"{name} = {value}" for name, value in sizes.items() if value is not None)
    if not several and (point["queries"], point["basis"]) != ("zero", "literal"):
        said += f", {point['queries']} queries, {point['basis']} basis"
    if not several and point["bob"] != "threshold":
        said += f", {point['bob']} Bob"
    return f"{point['reduction']} game, {point['keys']} keys, {said}, {point['isolation']}"


def _stream(point: dict[str, Any]) -> str:
    bob = "" if point["bob"] == "threshold" else f", {point['bob']} Bob"
    return f"{point['queries']}, {point['basis']}{bob}"


def _row(point: dict[str, Any], budget: str) -> list[str]:
    from ..runs.points import error_text, guarantee_text

    error, ratio = point["bit_error"], point["compression_ratio"]
    return [
        budget + (" (over)" if point["over_budget"] else ""),
        number(point["bits_per_secret_bit"]),
        "-" if ratio is None else f"{ratio:.2f}x",
        error_text(point),
        f"{error['low']:.4f} to {error['high']:.4f}",
        f"{point['error_floor']:.4f}",
        point["ledger"]["verdict"],
        guarantee_text(point),
        str(point["messages"]) + (f", {point['failed']} failed" if point["failed"] else ""),
    ]


def _print_notes(report: Report) -> None:
    from ..runs.points import budget_text

    for sentence in _gaps(report):
        say(f"gap: {sentence}")
    for sentence in report.failures()[:5]:
        say(f"failed: {sentence}")
    if any(point["over_budget"] for point in report.points):
        say(
            "over: the message is larger than the budget; the point is shown at its measured "
            "memory."
        )
    if not report.builtin and any(point["reduction"] == "tensor" for point in report.points):
        say("rule: answers were held to tensor attention, which public['attention'] asks for.")
    verdicts = {point["guarantee"]["verdict"] for point in report.points}
    average = [point for point in report.points if "average_case" in point]
    if "not-broken" in verdicts and not average:
        say(
            "not-broken means: the error is at most 1/10 on average over each age bucket, on "
            "this reduction, at this scale, for random secrets. A single row may be worse, and so "
            "may a single channel or head: these are not tested separately."
        )
    if average:
        from ..protocols.evidence.average import ABOUT, CAVEAT

        for verdict in sorted(verdicts - {"undecided"}):
            say(f"{verdict} means: {ABOUT[verdict]}, rows that Bob guesses left out, {CAVEAT}.")
        say(_average(average))
    elif report.points and not any(p["guarantee"]["messages_by_row"] for p in report.points):
        say("rows: these results have no counts by row, so single rows were not tested.")
    for point in report.points:
        guarantee = point["guarantee"]
        rate = number(guarantee["bits_per_secret_bit"])
        if guarantee["verdict"] != "undecided" and rate != number(point["bits_per_secret_bit"]):
            say(
                f"budget {budget_text(point['budget'])}: {guarantee['verdict']} rests on the first "
                f"{guarantee['messages']} messages, at M/N = {rate}."
            )
        if point["changed"] is not None:
            say(f"budget {budget_text(point['budget'])}: {point['changed']['sentence']}")
    nulls = {
        null["name"]: null["sentence"] for p in report.points for null in [p["guarantee"]["null"]]
    }
    for name, sentence in nulls.items():
        say(f"guarantee judged, {name}: {sentence}.")
    for point in report.points:
        if "soft" in point:
            one = point["soft"]
            say(
                f"soft certificate, linear Bob, budget {budget_text(point['budget'])}: "
                f"{one['verdict']}, surprise {one['surprise_bits']:.0f} bits, where the counts of "
                f"right and wrong bits have {point['ledger']['surprise_bits']:.0f}."
            )
    if sentence := _power(report.points):
        say(f"not-excluded: {sentence}")
    if report.impossible:
        say(
            "impossible: no message of this length does this well: there is a hidden channel, "
            "or a bug in kvbarrier."
        )


def _average(points: Sequence[dict[str, Any]]) -> str:
    """Theta and the bound of the point with the most messages: all play the same coins."""
    said = max(points, key=lambda point: int(point["messages"]))["average_case"]
    theta = said["theta"]
    return (
        f"average case: Bob guesses a share theta = {theta['estimate']:.4f} of the rows (at most "
        f"{theta['high']:.4f} at {theta['level']:.0%}; closed form {said['closed_theta']:.3g}). "
        f"Success 9/10 on average needs {said['bound']:.3f} bits per secret bit, at least "
        f"{said['bound_at_level']:.3f} at {theta['level']:.0%} (closed form "
        f"{said['closed_bound']:.3f})."
    )


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
    from ..protocols.game.cell import target_name
    from ..runs.points import budget_text, series_label

    groups: dict[tuple[str, int], list[Gap]] = {}
    for gap in report.gaps:
        label = series_label({"compressor": target_name(report.target), "params": gap.params})
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
