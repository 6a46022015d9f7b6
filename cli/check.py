"""``kvbarrier check``: the plug-in contract; each finding says why and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import options
from .render import print_json, say, tell

if TYPE_CHECKING:
    from ..protocols.check.findings import CheckReport
    from ..protocols.life.engine_check import EngineReport


@click.command(name="check")
@click.argument("target")
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the compressor."
)
@click.option(
    "--timeout",
    type=float,
    default=120.0,
    show_default=True,
    callback=options.seconds,
    help="Time limit of the whole check, in seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(target: str, params: tuple[str, ...], timeout: float, as_json: bool) -> int:
    """Check TARGET against the contract of a compressor. Exit code 3 if it finds an error.

    An engine's cache (hf:, kvpress:, llamacpp:, codec:) lives through schedules of its operations.
    """
    from ..compressors.engines.schemes import is_engine
    from ..compressors.plugin.values import parse_value
    from ..protocols.check.ladder import check
    from ..protocols.life.engine_check import check_engine

    parsed = {k: parse_value(v) for k, v in options.pairs(params, "--param").items()}
    report: CheckReport | EngineReport
    if is_engine(target):
        report = check_engine(target, parsed, seconds=timeout, heard=say)
    else:
        report = check(target, params=parsed, seconds=timeout)
    if as_json:
        print_json(report.as_dict())
    else:
        tell(report.text())
    return 3 if report.errors else 0
