"""``kvbarrier attack``: play the game against one target and explain the result."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import BadInput, BudgetTooSmall, KVBarrierError
from ..files import refuse_link, refuse_place, write_whole
from . import options
from .attack_notes import as_budget, print_summary, setting
from .render import print_json, prints_to_stderr, say

if TYPE_CHECKING:
    from ..protocols.game.instance import Instance
    from ..runs.attack_report import Report
    from ..runs.gates import Gate
    from ..runs.results import Results
    from .attack_baseline import Baseline

QUERIES = "indistinguishability"
OUT_FILES = ("results.csv", "verdict.json", "plot.png")
IMPOSSIBLE_FILE = "kvbarrier-impossible.csv"


@click.command(name="attack")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@options.game_options
@options.stream_options
@options.model_options
@click.option(
    "-b",
    "--budget",
    "budgets",
    multiple=True,
    help="Memory as a fraction of the 16-bit cache, up to 2, or 'free' for no limit; repeat "
    "the option or separate values by commas.  [default: 1/64,1/32,...,1; free for a "
    "TARGET that takes no budget]",
)
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the compressor.",
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="NAME=V1,V2",
    help="Several values of a parameter; with several sweeps, every combination is played.",
)
@options.expect_option
@click.option(
    "-m",
    "--messages",
    type=options.MESSAGES,
    help="Number of messages to play.  [default: until decided, at most 256]",
)
@click.option(
    "--isolation",
    type=click.Choice(["auto", "inline", "process", "namespaces"]),
    default="auto",
    show_default=True,
    help="How Alice and Bob are separated.",
)
@click.option(
    "--timeout",
    type=float,
    default=60.0,
    show_default=True,
    callback=options.seconds,
    help="Time limit of a player for one message, in seconds.",
)
@click.option(
    "--memory", type=float, default=4.0, show_default=True, help="Memory limit of a player, in GiB."
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    callback=options.workers,
    help="Number of batches to play in parallel.  [default: 1 inline, else one per core]",
)
@click.option("--cluster", help="Address of a dask scheduler to submit the batches to.")
@click.option(
    "--resume",
    type=options.WRITE,
    help="Store the results in this CSV file, and continue from the results it already holds.",
)
@click.option(
    "-o",
    "--out",
    type=options.FOLDER,
    help="Write results.csv, verdict.json and plot.png into this folder; continues as "
    "--resume does.",
)
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="EXPR",
    help='Fail unless this holds, for example "bit_error<=0.1 @ budget=0.25". If the interval '
    "of the error contains 0.1, the gate is undecided and fails; bit_error.estimate<=0.1 "
    "tests only the estimate.",
)
@click.option(
    "--baseline",
    type=options.READ,
    help="Replay the messages of this earlier results file with today's code; fail if any of "
    "them got worse. Refused if nothing could fail.",
)
@click.option(
    "--certificate",
    type=options.WRITE,
    help="Write the counts to this file for verify; needs --resume or --out, so that they can "
    "be replayed.",
)
@click.option(
    "--save-case",
    type=options.WRITE,
    help="Write the first counterexample to a declaration into this file, for check --case.  "
    "[default: a file here whose name is printed]",
)
@click.option(
    "--junit",
    type=options.WRITE,
    help="Write a JUnit file for a build server: a test for each gate and each declaration.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print all columns, every null and its power.")
@click.option("-q", "--quiet", is_flag=True, help="Print a one-sentence summary and no table.")
@click.option(
    "--map",
    "map_file",
    type=options.WRITE,
    help="Draw which tokens and channels are lost into this PNG, SVG or PDF file.",
)
@options.as_json
def command(
    targets: tuple[str, ...],
    expected: tuple[str, ...],
    save_case: Path | None,
    budgets: tuple[str, ...],
    params: tuple[str, ...],
    sweeps: tuple[str, ...],
    gates: tuple[str, ...],
    resume: Path | None,
    out: Path | None,
    baseline: Path | None,
    certificate: Path | None,
    map_file: Path | None,
    isolation: str,
    timeout: float,
    memory: float,
    messages: int | None,
    workers: int | None,
    cluster: str | None,
    junit: Path | None,
    verbose: bool,
    quiet: bool,
    as_json: bool,
    model: Path | None,
    context: int,
    sample: str | None,
    **game: Any,
) -> int:
    """Attack TARGET: a catalog name, module:Class, path/to/file.py:Class, or an engine such as
    hf:dynamic, kvpress:KnormPress or codec:module:Class; ?param=value may follow.

    Alice hides n·d random bits in the values of a stream, TARGET's memory becomes one message, Bob
    reads the bits back. Each budget is one point: charged bits against wrong bits. Several TARGETs
    meet the same secrets and share one table; compare tells the same for choosing.

    With --reduction indistinguishability TARGET is an algorithm that reads the cache when the query
    comes, choosing beforehand or as it reads: its reads are counted against its errors, as in
    Theorem 19.
    """
    from ..protocols.players.isolation import Limits
    from ..runs.attack import Attack
    from ..runs.several import play_several

    limits = Limits(timeout, _memory(memory))
    played: dict[str, Any] = {
        "params": options.parameters(params),
        "sweep": options.sweeps(sweeps),
        "messages": messages,
        "isolation": None if isolation == "auto" else isolation,
        "limits": limits,
    }
    if game["reduction"] == QUERIES:
        return _attack_queries(targets, game, out, as_json, played)
    of_model = None
    if model is not None:
        from .model_attack import sampled

        game, of_model = sampled(game, model, context, sample)
    else:
        for option in options.given(("context", "sample")):
            raise BadInput(f"{option} has a meaning only with --model: give both, or neither.")
    first, *others = options.instances(game)
    words = options.declared(expected)
    asked = options.budgets(budgets) if budgets else None
    plans = [
        Attack(target, first, others=others, budgets=asked, **words, **played) for target in targets
    ]
    kept = resume or (out and out / "results.csv")
    # Before the first message, not after the last one.
    for own in [] if out is None else [out / name for name in OUT_FILES]:
        refuse_link(own)
    if map_file is not None:
        from ..figures.style import refuse_other_picture

        refuse_other_picture(map_file, "--map", out)
    for path in (certificate, save_case):
        if path is not None:
            refuse_place(path, out)
    if _is_served(junit):
        from . import ci

        ci.refuse(junit, None, out)
    if certificate is not None and kept is None:
        raise BadInput(
            "a certificate names the results file that replays it: add --resume FILE or --out DIR."
        )
    parsed_gates = _parsed(gates)
    for gate in parsed_gates:
        gate.check([one for plan in plans for one in plan.settings()])
    then = _baseline(baseline, targets)
    with _store(resume, out) as store, options.progress("attack") as tick, prints_to_stderr():
        try:
            report = play_several(
                plans,
                store=store,
                workers=workers,
                cluster=cluster,
                progress=lambda step: tick(step.cell.target, step.done, step.most),
                announce=say,
            )
        except BudgetTooSmall as error:
            raise BadInput(_with_budget(error, first)) from None
    document = report.as_dict()
    if of_model is not None:
        document["model"] = of_model.as_dict()
    failures = []
    try:
        # An impossible memory is the news; whether a gate holds on top of it is not.
        if not report.impossible:
            gaps = [gap.as_dict() for gap in report.gaps]
            failures = [f for gate in parsed_gates for f in gate.judge(report.points, gaps)]
            if then:
                document["baseline"] = then.against(played["isolation"], limits, workers)
                moved = document["baseline"]["moved"]
                failures += [f"baseline {baseline}: {sentence}" for sentence in moved]
    finally:
        _show(report, document, out, "json" if as_json else _style(verbose, quiet))
        if of_model is not None and not as_json:
            from .model_attack import tell_sample

            tell_sample(of_model)
        if map_file is not None:
            _draw_map(report, map_file)
    for one in report.unplayed:
        say(f"kvbarrier: {one.target} was not played: {_with_budget(one.error, first)}")
    for failure in failures:
        say(f"gate failed: {failure}")
    if not report.as_declared:
        failures += _refuted(report, save_case)
    _for_servers(report, failures, junit)
    code = _exit_code(report, failures, kept)
    if certificate is not None and kept is not None:
        from ..runs.certificate import write_attack_certificate

        with prints_to_stderr():
            proved = write_attack_certificate(certificate, report.outcomes, kept, limits)
        say(f"wrote {certificate}: {proved.sentence}")
    return code


def _baseline(path: Path | None, targets: Sequence[str]) -> Baseline | None:
    if path is None:
        return None
    from .attack_baseline import Baseline

    return Baseline(path, targets)


def _with_budget(error: KVBarrierError, instance: Instance) -> str:
    """The sentence of an error, and the budget that is large enough, if there is one."""
    if not isinstance(error, BudgetTooSmall):
        return str(error)
    least = Fraction(error.minimum_bits, instance.shape.cache_bits_16)
    return f"{error} That is {as_budget(least)}."


def _parsed(gates: tuple[str, ...]) -> list[Gate]:
    if not gates:
        return []
    from ..runs.gates import parse_gate

    return [parse_gate(text) for text in gates]


def _is_served(junit: Path | None) -> bool:
    """Whether a build server reads something of this run."""
    return junit is not None or "GITHUB_STEP_SUMMARY" in os.environ


def _for_servers(report: Report, failures: list[str], junit: Path | None) -> None:
    """What a build server reads of an attack: a test a point, and one for what failed."""
    if not _is_served(junit):
        return
    from . import ci

    played = [
        ci.JUnitCase(f"{setting(point, report)}: {point['guarantee']['verdict']}")
        for point in report.points
    ]
    cases = [*played, ci.JUnitCase("messages", _ends(report)), ci.JUnitCase("gates", failures)]
    ci.summarise(report.target, cases)
    if junit is not None:
        ci.write_junit(junit, report.target, cases)


def _ends(report: Report) -> list[str]:
    """What ends an attack with another code than its gates do, in sentences."""
    said = report.failures()
    if report.impossible:
        said.append("impossible: no message of this length does this well.")
    if report.changed:
        said.append("changed: the compressor was not one algorithm while it was played.")
    return said


def _refuted(report: Report, path: Path | None) -> list[str]:
    """Save the counterexample, say how to play it again, and return what failed."""
    from ..protocols.check.case import Case
    from ..protocols.game.cell import target_name

    case = report.counterexample
    if isinstance(case, Case):
        path = path or Path(case.name)
        case.write(path)
        whole = next(t for t in report.targets if t == case.target or target_name(t) == case.target)
        own = f" {shlex.quote(whole)}" if whole != case.target else ""
        say(f"wrote {path}; play it again:  kvbarrier check --case {shlex.quote(str(path))}{own}")
    return ["not-as-declared"]


def _draw_map(report: Report, path: Path) -> None:
    from ..figures import map as figure
    from ..protocols.game.cell import target_name
    from ..runs.lost import losses_of

    played = [outcome for outcome in report.outcomes if outcome.rows]
    points = [
        figure.Mapped(setting(point, report), losses, point["map"]["sentence"])
        for outcome, point in zip(played, report.points, strict=True)
        if (losses := losses_of(outcome.cell, outcome.rows)) is not None
    ]
    if not points:
        say(
            f"{path} is not drawn: these messages were played earlier, and a results file keeps "
            "counts only."
        )
        return
    level = next(p["map"]["level"] for p in report.points if p["map"] is not None)
    one = len(report.targets) == 1
    title = f"What {target_name(report.target)} loses" if one else "What is lost"
    figure.draw(points, path, title=title, level=level)
    say(f"wrote {path}: {len(points)} point{'s' if len(points) > 1 else ''}")


def _attack_queries(
    targets: Sequence[str],
    game: dict[str, Any],
    out: Path | None,
    as_json: bool,
    played: dict[str, Any],
) -> int:
    """The other adversary, for algorithms charged by their reads, not by their memory."""
    from .query_attack import attack_queries

    if len(targets) > 1:
        raise BadInput(f"--reduction {QUERIES} takes one TARGET, not {len(targets)}: name one.")
    heard = {"targets", "reduction", "n", "d", "eta", "params", "sweeps", "messages", "isolation",
             "timeout", "memory", "out", "as_json"}  # fmt: skip
    context = click.get_current_context()
    for name in context.params:
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in heard:
            option = next(p.opts[0] for p in context.command.params if p.name == name)
            raise BadInput(f"{option} has no meaning with --reduction {QUERIES}: leave it out.")
    n = 512 if game["n"] is None else game["n"]
    eta = 0.5 if game["eta"] is None else game["eta"]
    return attack_queries(targets[0], n=n, d=game["d"], eta=eta, out=out, as_json=as_json, **played)


def _style(verbose: bool, quiet: bool) -> str:
    if verbose and quiet:
        raise BadInput("give --verbose or --quiet, not both.")
    return "verbose" if verbose else "quiet" if quiet else "usual"


def _show(report: Report, document: dict[str, Any], out: Path | None, style: str) -> None:
    if out is not None:
        _write(out, report, document)
    if style == "json":
        print_json(document)
    elif style == "quiet":
        print_summary(report)
    else:
        from .attack_tables import print_report

        print_report(report, verbose=style == "verbose")


def _memory(gib: float) -> int:
    if not 0 < gib < 1 << 20:
        raise BadInput(
            f"--memory {gib:g} GiB is not a memory limit: give a number of GiB above 0 and "
            f"below {1 << 20}."
        )
    return int(gib * (1 << 30))


@contextmanager
def _store(resume: Path | None, out: Path | None) -> Iterator[Results]:
    from ..runs.results import Results, ResultsFile

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


def _write(out: Path, report: Report, document: dict[str, Any]) -> None:
    import json

    from ..figures import error_vs_memory
    from ..runs.points import curve_label

    text = json.dumps(document, indent=2, allow_nan=False)
    write_whole(out / "verdict.json", text + "\n")
    if report.points:
        labelled = [point | {"series": curve_label(point)} for point in report.points]
        error_vs_memory.draw(labelled, out / "plot.png")
    say(f"wrote {out / 'results.csv'}, verdict.json and plot.png")


def _exit_code(report: Report, failures: list[str], kept: Path | None) -> int:
    if report.impossible:
        path = kept or Path(IMPOSSIBLE_FILE)
        if kept is None:
            from ..runs.results import write_results

            write_results(path, [row for outcome in report.outcomes for row in outcome.rows])
        for index in report.family["named"] or range(len(report.points)):
            row = [o for o in report.outcomes if o.rows][index].rows[0]
            again = ["kvbarrier", "replay", str(path), row.cell, str(row.batch)]
            say(f"replay it:  {shlex.join(again)}")
        return 4
    if report.changed or any(point["failed"] for point in report.points):
        return 3
    unplayed = max((one.error.exit_code for one in report.unplayed), default=0)
    return unplayed or (1 if failures else 0)
