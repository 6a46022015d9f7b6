"""What ``kvbarrier attack`` shows to people: tables, and the sentences below them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .attack_notes import print_notes, print_summary, stream
from .render import number, print_table, tell

if TYPE_CHECKING:
    from ..runs.attack_report import Report


def print_report(report: Report, verbose: bool = False) -> None:
    """A table for every setting, or one for several targets; one for all adversaries together.

    The sentences stand below them.
    """
    if len(report.targets) > 1:
        _print_side_by_side(report, verbose)
    else:
        _print_settings(report, verbose)
    _print_together(report)
    _print_engine(report)
    print_notes(report, verbose)
    print_summary(report)


def _print_side_by_side(report: Report, verbose: bool) -> None:
    """Budget by budget, the targets in the order in which they were named."""
    from ..runs.points import budget_text, curve_label

    points = sorted(report.points, key=lambda p: math.inf if p["budget"] is None else p["budget"])
    games = dict.fromkeys(_game(point, bool(report.together)) for point in points)
    rows = []
    for point in points:
        label, budget = curve_label(point), budget_text(point["budget"])
        over, memory, error, _, verdict = _row(point, budget)
        short = [over, label, memory, f"{error} {_outwards(point['bit_error'])}", verdict]
        rows.append([label, *_whole_row(point, budget)] if verbose else short)
    print_table(
        f"{'; '.join(games)}: the same secrets for all",
        ["target", *_ALL] if verbose else ["budget", "target", "M/N", "bit error", "verdict"],
        rows,
        caption=_caption(points) + ("" if verbose else " In brackets: its 95 % interval."),
        width=160 if verbose else 80,
    )


def _outwards(error: dict[str, float]) -> str:
    """An interval in three digits that holds the whole of it.

    >>> _outwards({"low": 0.33456, "high": 0.56})
    '[0.334, 0.560]'
    """
    low, high = math.floor(1000 * error["low"]), math.ceil(1000 * error["high"])
    return f"[{low / 1000:.3f}, {high / 1000:.3f}]"


def _print_settings(report: Report, verbose: bool) -> None:
    from ..runs.points import budget_text, series_label

    several = bool(report.together)
    columns, row_of, width = (_ALL, _whole_row, 140) if verbose else (_FIVE, _row, 80)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for point in report.points:
        game = f"{_game(point, several)}, {point['isolation']}"
        groups.setdefault((series_label(point), game), []).append(point)
    for (label, game), points in groups.items():
        rows = [
            [*([stream(point)] if several else []), *row_of(point, budget_text(point["budget"]))]
            for point in points
        ]
        print_table(
            f"{label}: {game}",
            ["adversary", *columns] if several else list(columns),
            rows,
            caption=_caption(points),
            width=width,
        )


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
    rows, streams = [], {stream(point) for point in report.points}
    for one in report.together:
        error = one["bit_error"]
        rows.append([
            series_label(one),
            budget_text(one["budget"]),
            f"{one['guarantee']['null']['name']} ({one['number']})",
            one["guarantee"]["verdict"],
            stream(one["worst"]),
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
    named = [series_label(one) for one in report.engine]
    versions = dict.fromkeys(f"{k} {v}" for e in report.engine for k, v in e["versions"].items())
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
        + ", ".join(versions)
        + ".",
    )
    for name, one in zip(named, report.engine, strict=True):
        if played := one["memories"].get("played"):
            called = f"{name} is called by" if several else "called by"
            tell(f"{called} {played}, as a rehearsal found. Not so? encode=, decode=, tensors=, "
                 "layout= and dtype= are parameters.")  # fmt: skip
        for sentence in one["findings"]:
            tell(f"finding, {name}: {sentence}." if several else f"finding: {sentence}.")


def _game(point: dict[str, Any], several: bool = False) -> str:
    sizes = {
        "n": point["n"],
        "d": point["d"],
        "W": point["window"],
        "every": point.get("every"),
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
    return f"{point['reduction']} game, {point['keys']} keys, {said}"


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
