"""What ``kvbarrier attack`` shows to people: tables, gaps, and the sentences below them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .render import number, print_table, tell

if TYPE_CHECKING:
    from ..runs.attack import Gap, Report


def print_report(report: Report, verbose: bool = False) -> None:
    """A table for every setting, one for all adversaries together, and the sentences below them."""
    from ..runs.points import budget_text, series_label

    several = bool(report.together)
    columns, row_of, width = (_ALL, _whole_row, 140) if verbose else (_FIVE, _row, 80)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for point in report.points:
        groups.setdefault((series_label(point), _game(point, several)), []).append(point)
    for (label, game), points in groups.items():
        rows = [
            [*([_stream(point)] if several else []), *row_of(point, budget_text(point["budget"]))]
            for point in points
        ]
        print_table(
            f"{label}: {game}",
            ["adversary", *columns] if several else list(columns),
            rows,
            caption=_caption(points),
            width=width,
        )
    _print_together(report)
    _print_engine(report)
    _print_notes(report, verbose)
    print_summary(report)


def print_summary(report: Report) -> None:
    """A sentence for every setting, and for every adversary where there are several."""
    from ..runs.points import curve_label

    groups: dict[str, list[dict[str, Any]]] = {}
    for point in report.points:
        groups.setdefault(curve_label(point), []).append(point)
    for label, points in groups.items():
        tell(summary(label, points))


_FIVE = ("budget", "M/N", "bit error", "95 % interval", "verdict")
_ALL = ("budget", "M/N", "ratio", "bit error", "95 % interval", "floor", "ledger", "guarantee",
        "messages")  # fmt: skip


def _caption(points: Sequence[dict[str, Any]]) -> str:
    counts = [point["messages"] for point in points]
    span = str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
    said = f"M/N: charged bits per secret bit{_cache(points)}. {span} messages a point."
    rows = [_verdict(point) for point in points]
    if any("age " in row for row in rows):
        said += " age: the bucket with the highest error of 16, 0 the oldest, 15 the newest."
    if any("row " in row for row in rows):
        said += " row: the row with the most evidence, 0 the oldest."
    return said


def _cache(points: Sequence[dict[str, Any]]) -> str:
    """What the 16-bit cache itself would be charged, where one number says it."""
    whole = {
        round(point["compression_ratio"] * point["bits_per_secret_bit"], 6)
        for point in points
        if point["compression_ratio"] is not None
    }
    return f"; the 16-bit K and V cache has {number(whole.pop())}" if len(whole) == 1 else ""


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


def _verdict(point: dict[str, Any]) -> str:
    """The theorem's verdict in a cell; an impossible memory is the only news where there is one."""
    from ..runs.points import guarantee_text

    impossible = point["ledger"]["verdict"] == "impossible"
    failed = f", {point['failed']} failed" if point["failed"] else ""
    return ("impossible" if impossible else guarantee_text(point)) + failed


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
        width=110,
    )


def _print_engine(report: Report) -> None:
    """The memories of an engine's cache side by side: in real packages they differ."""
    from ..runs.points import series_label

    if not report.engine:
        return
    several = len(report.engine) > 1
    named = [
        series_label({"compressor": report.target, "params": one["params"]})
        for one in report.engine
    ]
    columns = ("claimed", "logical", "resident", "side", "wire", "constant")
    rows = [
        [
            *([name] if several else []),
            *("-" if s is None else f"{s:.3f}" for s in map(one["shares"].get, columns)),
        ]
        for name, one in zip(named, report.engine, strict=True)
    ]
    bases = dict.fromkeys(
        one["memories"]["basis"] for one in report.engine if one["memories"]["basis"]
    )
    print_table(
        "what the cache occupies, as a share of the 16-bit K and V cache",
        ["target", *columns] if several else list(columns),
        rows,
        caption="logical: all reachable tensors. resident: the storages behind them. side: parked "
        "outside the cache. wire: the message, which is charged. constant: what of it another "
        "stream's message has as well."
        + (f" claimed: by {', '.join(bases)}." if bases else "")
        + " "
        + ", ".join(f"{k} {v}" for k, v in report.engine[0]["versions"].items())
        + ".",
    )
    for name, one in zip(named, report.engine, strict=True):
        for sentence in one["findings"]:
            tell(f"finding, {name}: {sentence}." if several else f"finding: {sentence}.")


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
    from ..runs.points import error_text

    error = point["bit_error"]
    return [
        budget + (" (over)" if point["over_budget"] else ""),
        number(point["bits_per_secret_bit"]),
        error_text(point),
        f"{error['low']:.4f} to {error['high']:.4f}",
        _verdict(point),
    ]


def _whole_row(point: dict[str, Any], budget: str) -> list[str]:
    from ..runs.points import guarantee_text

    ratio = point["compression_ratio"]
    over, memory, error, interval, _ = _row(point, budget)
    return [
        over,
        memory,
        "-" if ratio is None else f"{ratio:.2f}x",
        error,
        interval,
        f"{point['error_floor']:.4f}",
        point["ledger"]["verdict"],
        guarantee_text(point),
        str(point["messages"]) + (f", {point['failed']} failed" if point["failed"] else ""),
    ]


def _print_notes(report: Report, verbose: bool) -> None:
    from ..runs.points import budget_text

    for point in report.points:
        if point["map"] is not None and point["map"]["kind"] != "none":
            tell(f"map, {setting(point, report)}: {point['map']['sentence']}")
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
                f"budget {budget_text(point['budget'])}: {guarantee['verdict']} rests on the first "
                f"{guarantee['messages']} messages, at M/N = {rate}."
            )
        if point["changed"] is not None:
            tell(f"budget {budget_text(point['budget'])}: {point['changed']['sentence']}")
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
                f"soft certificate, linear Bob, budget {budget_text(point['budget'])}: "
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


def _print_declared(report: Report, verbose: bool) -> None:
    """What was declared and whether it holds, apart from the theorem's verdict."""
    from ..protocols.check.case import Case
    from ..runs.points import budget_text

    holds = []
    for point, one in zip(report.points, report.declared, strict=False):
        if one is None:
            continue
        if verbose or one.verdict == "not-as-declared" or one.unjudged:
            tell(f"budget {budget_text(point['budget'])}: {one.sentence}")
        else:
            holds.append((budget_text(point["budget"]), one))
    if len(holds) == 1:
        tell(f"budget {holds[0][0]}: {holds[0][1].sentence}")
    elif holds:
        where = ", ".join(budget for budget, _ in holds)
        words = dict.fromkeys(str(one.declaration) for _, one in holds)
        said = next(iter(words)) if len(words) == 1 else f"{next(iter(words))}, and so on"
        tell(f"as-declared at {where}: {said}.")
    case = report.counterexample
    if isinstance(case, Case):
        tell(f"counterexample, played again in fresh processes: {case.found}")
    elif case is not None:
        tell(f"counterexample: {case}")


def setting(point: dict[str, Any], report: Report) -> str:
    """What tells a point from the others of the report."""
    from ..runs.points import budget_text, series_label

    parts = [f"budget {budget_text(point['budget'])}"]
    if len({series_label(one) for one in report.points}) > 1:
        parts.insert(0, series_label(point))
    if report.together:
        parts.append(_stream(point))
    return ", ".join(parts)


def _average(points: Sequence[dict[str, Any]]) -> str:
    """Theta and the bound of the point with the most messages: all play the same coins."""
    said = max(points, key=lambda point: int(point["messages"]))["average_case"]
    theta = said["theta"]
    return (
        f"bound: Bob guesses a share theta = {theta['estimate']:.4f} of the rows (at most "
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
