"""``kvbarrier regress``: the committed baselines message by message, and the claims."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options
from .render import number, print_json, print_table, say, tell

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ..runs.comparison import CellComparison, RegressReport


@click.command(name="regress")
@click.option(
    "--quick", is_flag=True, help="Only the baselines; the claims need the quick experiments."
)
@click.option(
    "--update", is_flag=True, help="Measure the baseline again and replace the committed one."
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    callback=options.workers,
    help="Number of processes.  [default: 1 if quick, else one per core]",
)
@options.as_json
def command(quick: bool, update: bool, workers: int | None, as_json: bool) -> int:
    """Measure the committed baselines again, message by message, and the claims.

    If this host's floats match the baseline's, every count must be equal. On other hosts, and for
    one more key on all hosts, a paired comparison fails only beyond a stated margin.
    """
    from ..runs import baseline
    from ..runs.executors import make_executor
    from ..runs.regress import regress

    count = workers or (1 if quick else os.cpu_count() or 1)
    with make_executor(count, "inline") as executor, options.progress("regress") as tick:
        step = lambda s: tick(s.cell.target, s.done, s.most)  # noqa: E731
        if update:
            written = baseline.measure(executor=executor, progress=step)
            say(
                f"wrote {', '.join(map(str, written))}; commit them, and say in the commit why "
                "they moved."
            )
            return 0
        report = regress(baseline.paths(), executor=executor, progress=step)
        claims = [] if quick else _claims(executor, tick)
    document = _document(report, claims)
    if as_json:
        print_json(document)
    else:
        _print(report, claims, quick)
    failed = [row for row in claims if row["verdict"] == "fails"]
    return 0 if report.passed and not failed else 1


def _claims(executor: Executor, tick: Any) -> list[dict[str, str]]:
    """Run the quick experiments in a folder of their own and judge their claims."""
    from ..experiments.kit.run import Run
    from ..experiments.registry import NAMES, get

    rows = []
    from ..runs.interrupts import Interrupted

    with tempfile.TemporaryDirectory(prefix="kvbarrier-") as folder:
        for experiment in map(get, NAMES):
            try:
                experiment.run(Run(Path(folder), "quick", executor, tick))
            except Interrupted as stopped:
                raise stopped.without_results() from None
            for claim in experiment.claims:
                judgement = claim.check(Path(folder))
                rows.append({"claim": claim.name, "verdict": judgement.verdict,
                             "evidence": judgement.evidence})  # fmt: skip
    return rows


def _document(report: RegressReport, claims: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "schema": 1,
        "passed": report.passed,
        "messages": report.messages,
        "level": report.level,
        "margin": report.margin,
        "smallest_shift_caught": report.smallest_shift,
        "moved": [
            {"compressor": c.compressor, "budget": c.budget, "key": c.key, "cell": c.cell,
             "sentence": c.failure, "messages": [d.as_dict() for d in c.different]}
            for c in report.failures
        ],
        "claims": claims,
    }  # fmt: skip


def _row(members: list[CellComparison]) -> list[str]:
    shifts = [one.smallest_shift for one in members]
    known = [shift for shift in shifts if shift is not None]
    return [
        str(len(members)),
        str(sum(one.messages for one in members)),
        "equality" if all(one.exact for one in members) else "paired test",
        number(max(known)) if len(known) == len(shifts) else "-",
        str(sum(one.failure is not None for one in members)),
    ]


def _print(report: RegressReport, claims: list[dict[str, str]], quick: bool) -> None:
    groups: dict[tuple[str, str], list[CellComparison]] = {}
    for one in report.comparisons:
        groups.setdefault((one.compressor, one.key), []).append(one)
    rows = [[*names, *_row(members)] for names, members in sorted(groups.items())]
    print_table(
        "baselines",
        ["compressor", "key", "cells", "messages", "held to", "smallest shift caught", "moved"],
        rows,
        caption=f"paired: exact sign test, family-wise level {report.level:g}, margin "
        f"{report.margin:g} bit error and 0 charged bits",
    )
    for one in report.failures:
        tell(f"moved: {one.compressor} (cell {one.cell}, key {one.key}): {one.failure}")
    if claims:
        print_table(
            "claims", ["claim", "verdict", "evidence"], [list(row.values()) for row in claims]
        )
    moved = len(report.failures)
    tell(
        f"{len(report.comparisons)} cells, {report.messages} messages: {moved} moved; "
        f"{report.caught}."
    )
    if quick:
        tell("the claims were not measured: run regress without --quick.")
