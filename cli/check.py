"""``kvbarrier check``: the contract, then the laws; each finding says where, why and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import BadInput
from ..files import refuse_place
from . import options
from .render import print_json, print_table, say, tell

if TYPE_CHECKING:
    from ..protocols.check.findings import CheckReport
    from .ci import JUnitCase


@click.command(name="check")
@click.argument("target", required=False)
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the compressor."
)
@options.expect_option
@click.option(
    "--timeout",
    type=float,
    default=120.0,
    show_default=True,
    callback=options.seconds,
    help="Time limit of the whole check, in seconds.",
)
@click.option(
    "--case",
    type=options.READ,
    help="Replay this counterexample instead; TARGET then names the plug-in's file. Exit code 3 if "
    "it still fails.",
)
@click.option(
    "--save-case",
    type=options.WRITE,
    help="Write the first error of a law into this file, for --case.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Say what the message is made of instead: the bytes of each attribute.",
)
@click.option(
    "--junit",
    type=options.WRITE,
    help="Write a JUnit file for a build server: one test for each group of laws.",
)
@click.option("--badge", type=options.WRITE, help="Write a badge: an SVG, or JSON for shields.io.")
@options.as_json
def command(
    target: str | None,
    params: tuple[str, ...],
    expected: tuple[str, ...],
    timeout: float,
    case: Path | None,
    save_case: Path | None,
    explain: bool,
    junit: Path | None,
    badge: Path | None,
    as_json: bool,
) -> int:
    """Examine TARGET: does it keep the contract, and hold what it is given?

    A ladder from cheap to dear: contract, heads, places, structure, declaration, every length,
    mass, doors, scores, memory, operations. Exit code 3 if it finds an error.

    An engine's cache (hf:, kvpress:, llamacpp:, mlx:, codec:) lives through schedules of its
    operations.
    """
    from ..compressors.engines.schemes import is_engine
    from . import ci

    ci.refuse(junit, badge)
    if save_case is not None:
        refuse_place(save_case)
    if case is not None:
        _refuse("--case", "params", "expected", "explain", "save_case")
        return _replay(case, target, timeout, junit, badge, as_json)
    if target is None:
        raise BadInput("TARGET is missing: name what to check, or give --case.")
    if is_engine(target):
        _refuse("an engine's cache", "explain", "save_case")
    elif explain:
        _refuse("--explain", "expected", "save_case", "junit", "badge")
    from ..compressors.plugin.values import parse_value
    from ..protocols.check.ladder import check

    parsed = {k: parse_value(v) for k, v in options.pairs(params, "--param").items()}
    if is_engine(target):
        if expected:
            raise BadInput("check has no --expect for an engine's cache: leave it out.")
        return _engine(target, parsed, timeout, junit, badge, as_json)
    if explain:
        return _explain(target, parsed, timeout, as_json)
    said = {name: one.words() for name, one in options.declared(expected).items()}
    report = check(
        target,
        params=parsed,
        expect=said.get("declaration", ()),
        otherwise=said.get("undeclared", ()),
        seconds=timeout,
    )
    if as_json:
        print_json(report.as_dict())
    else:
        tell(report.text())
    _for_servers(target, _cases(report), len(report.errors), junit, badge)
    if save_case is not None:
        _save_case(report, parsed, said.get("declaration", ()), save_case)
    return 3 if report.errors else 0


def _refuse(meaning: str, *names: str) -> None:
    """Refuse options that would be ignored."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(p.opts[0] for p in context.command.params if p.name == name)
            raise BadInput(f"{option} has no meaning with {meaning}: leave it out.")


def _engine(
    target: str,
    params: Mapping[str, object],
    timeout: float,
    junit: Path | None,
    badge: Path | None,
    as_json: bool,
) -> int:
    """The operations of an engine's cache, where it is installed."""
    from ..protocols.life.engine_check import check_engine
    from . import ci

    report = check_engine(target, params, seconds=timeout, heard=say)
    if as_json:
        print_json(report.as_dict())
    else:
        tell(report.text())
    cases = []
    for trial in report.trials:
        name = f"{trial['way'] or 'as it is'}: {', '.join(trial['tried'])}"
        told = [one["detail"] for one in trial["findings"] if one["severity"] == "error"]
        cases.append(ci.JUnitCase(name, told, trial["seconds"]))
    if report.ended:
        cases.append(ci.JUnitCase("end", [report.ended]))
    _for_servers(target, cases, len(report.errors), junit, badge)
    return 3 if report.errors or report.ended else 0


def _explain(target: str, params: Mapping[str, Any], timeout: float, as_json: bool) -> int:
    """The message, attribute by attribute."""
    from dataclasses import asdict

    from ..protocols.check.explain import TOKENS, D
    from ..protocols.check.ladder import explain

    told = explain(target, params, seconds=timeout)
    if as_json:
        print_json({"schema": 1, "target": target, "tokens": TOKENS, "d": D, **asdict(told)})
        return 0
    bits = 8 * told.length / (2 * TOKENS * D)
    title = (
        f"{target}: {told.length} bytes for {TOKENS} tokens of dimension {D}, {bits:.3g} bits for "
        "each number of K and V"
    )
    if told.own_save:
        tell(f"{title}. It has a save of its own, so its parts are not seen.")
        return 0
    print_table(
        title,
        ["part", "what it is", "bytes", "share", "packed"],
        told.rows(),
        caption="packed: bytes if each number had the bits that its different values need "
        "(kvbarrier.pack_bits), where that is at most 3/4.",
    )
    return 0


def _cases(report: CheckReport) -> list[JUnitCase]:
    """A test a rung, and one for each error; of a rung that had no time it is skipped."""
    from . import ci

    cases = [ci.JUnitCase(one.title, (), one.seconds) for one in report.tried if one.whole]
    cases += [ci.JUnitCase(title, skipped="not tried") for title in _left_out(report)]
    cases += [
        ci.JUnitCase(f"{one.code} {number}", [f"{one.title}: {one.detail}"])
        for number, one in enumerate(report.errors, 1)
    ]
    return cases or [ci.JUnitCase("contract")]


def _left_out(report: CheckReport) -> list[str]:
    """The rungs that were not tried, or not to their end."""
    from ..protocols.check.examination import LADDER

    done = {one.name for one in report.tried if one.whole}
    return [one.title for one in LADDER if one.name not in done]


def _for_servers(
    target: str, cases: list[JUnitCase], count: int, junit: Path | None, badge: Path | None
) -> None:
    """What a build server reads of a check."""
    from . import ci

    ci.summarise(target, cases)
    if junit is not None:
        ci.write_junit(junit, target, cases)
    if badge is not None:
        left = sum(bool(one.skipped) for one in cases)
        said = f"{left} of {len(cases)} laws not tried" if left else "holds what it says"
        said = f"{count} fault{'s' * (count > 1)}" if count else said
        ci.write_badge(badge, "kv cache", said, False if count else None if left else True)


def _save_case(
    report: CheckReport, params: dict[str, Any], declares: tuple[str, ...], path: Path
) -> None:
    """The first error of a law, as a file."""
    from ..protocols.check.check_cases import first_case

    case = first_case(report, params, declares)
    if case is None:
        say(f"no law is broken, so nothing is written to {path}.")
        return
    case.write(path)
    again = shlex.join(["kvbarrier", "check", "--case", str(path), report.target])
    say(f"wrote {path}; play it again:  {again}")


def _replay(
    path: Path,
    target: str | None,
    timeout: float,
    junit: Path | None,
    badge: Path | None,
    as_json: bool,
) -> int:
    """Play a counterexample again in fresh processes."""
    from ..protocols.check.cases import read_case, replay_case
    from ..protocols.players.isolation import Limits
    from . import ci

    played = replay_case(read_case(path), target, limits=Limits(seconds=timeout))
    if as_json:
        print_json({"schema": 1, "case": str(path), "fails": played.fails, "said": played.sentence})
    else:
        tell(played.sentence)
    one = ci.JUnitCase(path.name, [played.sentence] if played.fails else [])
    _for_servers(target or path.name, [one], int(played.fails), junit, badge)
    return 3 if played.fails else 0
