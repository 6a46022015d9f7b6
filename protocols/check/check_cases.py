"""A finding of a law as a case file, and its replay: the same law again, in fresh processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from ...compressors.plugin.values import parse_value
from ...errors import BadInput
from ..game.cell import target_name
from ..players.isolation import Limits
from .case import Case, Replayed
from .examination import LADDER
from .findings import CheckReport, Finding

KIND = "check"


def first_case(
    report: CheckReport, params: Mapping[str, Any], declares: Sequence[str] = ()
) -> Case | None:
    """The first error of a law: which law, on which target, with which parameters; or None."""
    found = next((one for one in report.errors if one.law is not None), None)
    return None if found is None else _case(report.target, found, params, declares)


def _case(target: str, one: Finding, params: Mapping[str, Any], declares: Sequence[str]) -> Case:
    places = {"token": one.tokens, "layer": one.layers, "head": one.heads, "channel": one.channels}
    question = {name: numbers[0] for name, numbers in places.items() if numbers}
    return Case(
        kind=KIND,
        target=target_name(target),
        play={
            "law": one.law, "code": one.code, "steps": list(one.reproduction),
            "params": {name: str(value) for name, value in params.items()},
        },
        declares=tuple(declares),
        question=question or None,
        expected=None,
        read=None,
        answered=None,
        found=one.detail.splitlines()[0],
        versions={name: metadata.version(name) for name in ("kvbarrier", "numpy")},
    )  # fmt: skip


def replay_check(case: Case, target: str, isolation: str, limits: Limits | None) -> Replayed:
    """Try the law again.

    Raises:
        BadInput: the case names no law of this version, its parameters are no texts, or the law
            was not tried: then nobody knows.
    """
    from .ladder import check

    law, code, params = (case.play.get(name) for name in ("law", "code", "params"))
    if law not in [one.name for one in LADDER] or not isinstance(params, dict):
        raise BadInput(f"this version has no law '{str(law)[:40]}': use the one that wrote it.")
    seconds = 120.0 if limits is None else limits.seconds
    read = {str(name): parse_value(str(value)) for name, value in params.items()}
    report = check(target, read, expect=case.declares, only=(law,), seconds=seconds)
    for one in report.findings:
        if one.code == code and one.severity == "error":
            return Replayed(True, f"It still fails: {one.detail}")
    others = [one for one in report.errors if one.law is None]
    if others:
        return Replayed(True, f"It fails in another way: {others[0].title}: {others[0].detail}")
    if not any(one.name == law and one.whole for one in report.tried):
        why = "; ".join(report.untried) or "something else was found before"
        raise BadInput(f"the law '{law}' was not tried ({why}): give a longer --timeout.")
    return Replayed(False, f"It does not fail any more. It was: {case.found}")
