"""``kvbarrier check``: the plug-in contract, each finding with its why and what to do."""

from __future__ import annotations

import click

from ..errors import BadInput
from . import options
from .render import print_json, say


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
    help="Seconds for the whole check.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(target: str, params: tuple[str, ...], timeout: float, as_json: bool) -> int:
    """Check TARGET against the contract of a compressor: 0 findings, or exit code 3."""
    from ..compressors.engines.schemes import is_engine
    from ..compressors.plugin.values import parse_value
    from ..protocols.check.ladder import check

    if is_engine(target):
        raise BadInput(
            f"{target} is an engine, and its contract our adapter's: 'kvbarrier attack {target}' "
            "says what it does."
        )
    parsed = {k: parse_value(v) for k, v in options.pairs(params, "--param").items()}
    report = check(target, params=parsed, seconds=timeout)
    if as_json:
        print_json(report.as_dict())
    else:
        say(report.text())
    return 3 if report.errors else 0
