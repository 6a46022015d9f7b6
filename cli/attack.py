"""``kvbarrier attack``: play the game against one target and say what it means."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import BadInput, BudgetTooSmall
from . import options
from .render import number, print_json, print_table, say

if TYPE_CHECKING:
    from ..experiments.attack import Attack, Gap, Report
    from ..experiments.results import Results

QUERIES = "indistinguishability"
IMPOSSIBLE_FILE = "kvbarrier-impossible.csv"


@click.command(name="attack")
@click.argument("target")
@options.game_options
@options.stream_options
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    help="Memory as a fraction of the 16-bit cache, up to 2, or 'free' for as much as TARGET likes;"
    " repeat or separate by commas.  [default: 1/64,1/32,...,1; free for what lives in none]",
)
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the compressor."
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="NAME=V1,V2",
    help="Several values of a parameter; several sweeps are crossed.",
)
@click.option(
    "--messages",
    type=click.IntRange(1),
    help="Play exactly so many messages.  [default: until decided, at most 256]",
)
@click.option(
    "--isolation",
    type=click.Choice(["auto", "inline", "process", "namespaces"]),
    default="auto",
    show_default=True,
    help="How Alice and Bob are kept apart.",
)
@click.option(
    "--timeout",
    type=float,
    default=60.0,
    show_default=True,
    help="Seconds that a player may take for one message.",
)
@click.option(
    "--memory", type=float, default=4.0, show_default=True, help="GiB that a player may take."
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Batches played at once.  [default: 1 inline, else one a core]",
)
@click.option("--cluster", help="Address of a dask scheduler to submit the batches to.")
@click.option(
    "--resume",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the results in this CSV file, and go on from what it holds.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write results.csv, verdict.json and plot.png into this folder; goes on as --resume does.",
)
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="EXPR",
    help='Fail unless this holds, as "bit_error<=0.1 @ budget=0.25".',
)
@click.option(
    "--baseline",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Replay this earlier results file with today's code; fail if it got worse.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    target: str,
    budgets: tuple[str, ...],
    params: tuple[str, ...],
    sweeps: tuple[str, ...],
    gates: tuple[str, ...],
    resume: Path | None,
    out: Path | None,
    baseline: Path | None,
    isolation: str,
    timeout: float,
    memory: float,
    messages: int | None,
    workers: int | None,
    cluster: str | None,
    as_json: bool,
    **game: Any,
) -> int:
    """Attack TARGET: a catalog name, module:Class, path/to/file.py:Class, or name?param=value.

    Alice hides n·d random bits in the values of a stream, TARGET's memory becomes one message, Bob
    reads the bits back. Each budget is one point: charged bits against wrong bits.

    With --reduction indistinguishability TARGET is a non-adaptive algorithm, which says beforehand
    what it will read: its reads are counted against its errors, as in Theorem 19.
    """
    from ..experiments.attack import Attack, play
    from ..experiments.gates import parse_gate
    from ..protocols.isolation import Limits

    played: dict[str, Any] = {
        "params": options.parameters(params),
        "sweep": options.sweeps(sweeps),
        "messages": messages,
        "isolation": None if isolation == "auto" else isolation,
        "limits": Limits(timeout, _memory(memory)),
    }
    if game["reduction"] == QUERIES:
        return _attack_queries(target, game, out, as_json, played)
    first, *others = options.adversaries(game)
    plan = Attack(
        target,
        first,
        others=others,
        budgets=options.budgets(budgets) if budgets else None,
        **played,
    )
    parsed_gates = [parse_gate(text) for text in gates]
    for gate in parsed_gates:
        gate.check(plan.settings())
    with _store(resume, out) as store, options.progress("attack") as tick:
        try:
            report = play(
                plan,
                store=store,
                workers=workers,
                cluster=cluster,
                progress=lambda step: tick(target, step.done, step.most),
            )
        except BudgetTooSmall as error:
            least = Fraction(error.minimum_bits, plan.instance.shape.cache_bits_16)
            raise BadInput(f"{error} That is {_as_budget(least)}.") from None
    document = report.as_dict()
    failures = []
    try:
        # An impossible memory is the news; whether a gate holds on top of it is not.
        if not report.impossible:
            gaps = [gap.as_dict() for gap in report.gaps]
            failures = [f for gate in parsed_gates for f in gate.judge(report.points, gaps)]
            if baseline is not None:
                document["baseline"] = _against(baseline, plan, workers)
                moved = document["baseline"]["moved"]
                failures += [f"baseline {baseline}: {sentence}" for sentence in moved]
    finally:
        _show(report, document, out, as_json)
    for failure in failures:
        say(f"gate failed: {failure}")
    return _exit_code(report, failures, resume or (out and out / "results.csv"))


def _attack_queries(
    target: str, game: dict[str, Any], out: Path | None, as_json: bool, played: dict[str, Any]
) -> int:
    """The other adversary, for algorithms whose reads are counted and not their memory."""
    from .query_attack import attack_queries

    heard = {"target", "reduction", "n", "d", "eta", "params", "sweeps", "messages", "isolation",
             "timeout", "memory", "out", "as_json"}  # fmt: skip
    context = click.get_current_context()
    for name in context.params:
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in heard:
            option = next(p.opts[0] for p in context.command.params if p.name == name)
            raise BadInput(f"{option} means nothing to --reduction {QUERIES}: leave it out.")
    n = 512 if game["n"] is None else game["n"]
    eta = 0.5 if game["eta"] is None else game["eta"]
    return attack_queries(target, n=n, d=game["d"], eta=eta, out=out, as_json=as_json, **played)


def _show(report: Report, document: dict[str, Any], out: Path | None, as_json: bool) -> None:
    if out is not None:
        _write(out, report, document)
    if as_json:
        print_json(document)
    else:
        _print(report)


def _memory(gib: float) -> int:
    if not 0 < gib < 1 << 20:
        raise BadInput(f"--memory {gib:g} GiB is no memory limit: give a positive number of GiB.")
    return int(gib * (1 << 30))


@contextmanager
def _store(resume: Path | None, out: Path | None) -> Iterator[Results]:
    from ..experiments.results import Results, ResultsFile

    if resume is not None and out is not None:
        raise BadInput(
            "give --resume FILE or --out DIR, not both: --out keeps its own results.csv."
        )
    path = resume or (out / "results.csv" if out else None)
    if path is None:
        yield Results()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with ResultsFile(path) as store:
        yield store


def _against(baseline: Path, plan: Attack, workers: int | None) -> dict[str, Any]:
    from ..experiments.executors import make_executor
    from ..experiments.replay import compare_with_baseline
    from ..experiments.results import read_results

    with make_executor(workers or 1, "process") as executor:
        report = compare_with_baseline(
            read_results(baseline),
            plan.target,
            executor=executor,
            isolation=plan.isolation,
            limits=plan.limits,
        )
    return {
        "messages": report.messages,
        "level": report.level,
        "smallest_shift_caught": report.smallest_shift,
        "moved": [f"{c.compressor} budget={c.budget}: {c.failure}" for c in report.failures],
    }


def _write(out: Path, report: Report, document: dict[str, Any]) -> None:
    import json

    from ..experiments.report import series_label
    from ..figures import error_vs_memory

    (out / "verdict.json").write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")
    if report.points:
        labelled = [point | {"series": series_label(point)} for point in report.points]
        error_vs_memory.draw(labelled, out / "plot.png")
    say(f"wrote {out / 'results.csv'}, verdict.json and plot.png")


def _print(report: Report) -> None:
    from ..experiments.report import budget_text, series_label

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
        if any("age" in row[-2] for row in rows):
            caption += " age: the bucket with the highest error of 16, 0 the oldest, 15 the newest."
        header = ["queries, basis", *columns] if several else columns
        print_table(f"{label}: {game}", header, rows, caption=caption)
    _print_together(report)
    _print_notes(report)


def _print_together(report: Report) -> None:
    """Several adversaries as one: their selection is accounted for."""
    from ..experiments.report import budget_text, series_label

    if not report.together:
        return
    rows = []
    for one in report.together:
        error = one["bit_error"]
        rows.append([
            series_label({"compressor": report.target, "params": one["params"]}),
            budget_text(one["budget"]),
            one["guarantee"]["verdict"],
            f"{one['worst']['queries']}, {one['worst']['basis']}",
            f"{error['estimate']:.4f}",
            f"{error['low']:.4f} to {error['high']:.4f} ({error['level']:.2%})",
        ])  # fmt: skip
    print_table(
        f"all {report.together[0]['number']} adversaries together",
        ["target", "budget", "guarantee", "worst: queries, basis", "bit error", "interval"],
        rows,
        caption="broken by the average of their e-values, not-broken by all of them; the worst "
        "one's interval holds for all at once.",
    )


def _game(point: dict[str, Any], several: bool = False) -> str:
    sizes = {"n": point["n"], "d": point["d"], "W": point["window"], "C": f"{point['scale']:.3f}"}
    if point["layers"] * point["heads"] > 1:
        sizes |= {"layers": point["layers"], "heads": point["heads"]}
    said = ", ".join(f"{name} = {value}" for name, value in sizes.items() if value is not None)
    if not several and (point["queries"], point["basis"]) != ("zero", "literal"):
        said += f", {point['queries']} queries, {point['basis']} basis"
    return f"{point['reduction']} game, {point['keys']} keys, {said}, {point['isolation']}"


def _stream(point: dict[str, Any]) -> str:
    return f"{point['queries']}, {point['basis']}"


def _row(point: dict[str, Any], budget: str) -> list[str]:
    error, guarantee = point["bit_error"], point["guarantee"]["verdict"]
    ratio = point["compression_ratio"]
    return [
        budget + (" (over)" if point["over_budget"] else ""),
        number(point["bits_per_secret_bit"]),
        "-" if ratio is None else f"{ratio:.2f}x",
        f"{error['estimate']:.4f}",
        f"{error['low']:.4f} to {error['high']:.4f}",
        f"{point['error_floor']:.4f}",
        point["ledger"]["verdict"],
        guarantee
        if guarantee != "broken"
        else f"broken (age {point['guarantee']['worst_bucket']})",
        str(point["messages"]) + (f", {point['failed']} failed" if point["failed"] else ""),
    ]


def _print_notes(report: Report) -> None:
    for sentence in _gaps(report):
        say(f"gap: {sentence}")
    for sentence in report.failures()[:5]:
        say(f"failed: {sentence}")
    if any(point["over_budget"] for point in report.points):
        say("over: the message is larger than the budget; the point stands at its real memory.")
    if not report.builtin and any(point["reduction"] == "tensor" for point in report.points):
        say("rule: answers were held to tensor attention, which public['attention'] asks for.")
    verdicts = {point["guarantee"]["verdict"] for point in report.points}
    if "not-broken" in verdicts:
        say("not-broken means: on this reduction, at this scale, for random secrets.")
    if any(point["basis"] == "rotated" for point in report.points):
        say(
            "rotated: a guarantee is promised to decode for errors that are small in the Euclidean "
            "norm; broken says that bits are lost."
        )
    if report.impossible:
        say("impossible: no such message does this well: a hidden channel, or a bug of ours.")


def _gaps(report: Report) -> list[str]:
    """One sentence for all budgets that are too small for a setting, for the same reason."""
    from ..experiments.report import budget_text, series_label
    from ..protocols.instance import target_name

    groups: dict[tuple[str, int], list[Gap]] = {}
    for gap in report.gaps:
        label = series_label({"compressor": target_name(report.target), "params": gap.params})
        groups.setdefault((label, gap.minimum_bits), []).append(gap)
    return [
        f"{label} cannot live at {', '.join(budget_text(gap.budget) for gap in gaps)}: it needs "
        f"{bits} bits, {_as_budget(gaps[0].minimum_budget)}."
        for (label, bits), gaps in groups.items()
    ]


def _as_budget(least: Fraction) -> str:
    # Upwards: a budget that is rounded down does not suffice.
    share = f"{math.ceil(10_000 * least) / 10_000:g}"
    return f"--budget {share}" if least <= 2 else f"{share} 16-bit caches: --budget free"


def _exit_code(report: Report, failures: list[str], kept: Path | None) -> int:
    if report.impossible:
        path = kept or Path(IMPOSSIBLE_FILE)
        if kept is None:
            from ..experiments.results import write_results

            write_results(path, [row for outcome in report.outcomes for row in outcome.rows])
        for index in report.family["named"] or range(len(report.points)):
            row = [o for o in report.outcomes if o.rows][index].rows[0]
            say(f"replay it:  kvbarrier replay {path} {row.cell} {row.batch}")
        return 4
    if any(point["failed"] for point in report.points):
        return 3
    return 1 if failures else 0
