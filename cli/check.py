"""``kvbarrier check``: the plug-in contract; each finding says why and what to do."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import BadInput
from . import options
from .render import print_json, tell


@click.command(name="check")
@click.argument("target", required=False)
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
@click.option(
    "--case",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Play this counterexample again instead; TARGET is then the place of its plug-in's "
    "file. Exit code 3 if it still fails.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    target: str | None, params: tuple[str, ...], timeout: float, case: Path | None, as_json: bool
) -> int:
    """Check TARGET against the contract of a compressor. Exit code 3 if it finds an error."""
    if case is not None:
        return _replay(case, target, timeout, as_json)
    if target is None:
        raise click.UsageError("Missing argument 'TARGET': name what to check, or give --case.")
    from ..compressors.engines.schemes import is_engine
    from ..compressors.plugin.values import parse_value
    from ..protocols.check.ladder import check

    if is_engine(target):
        raise BadInput(
            f"{target} is an engine: kvbarrier's own adapter keeps the contract for it, so "
            f"there is nothing to check. Run 'kvbarrier attack {target}' instead."
        )
    parsed = {k: parse_value(v) for k, v in options.pairs(params, "--param").items()}
    report = check(target, params=parsed, seconds=timeout)
    if as_json:
        print_json(report.as_dict())
    else:
        tell(report.text())
    return 3 if report.errors else 0


def _replay(path: Path, target: str | None, timeout: float, as_json: bool) -> int:
    """Play a counterexample again in fresh processes."""
    from ..protocols.check.cases import read_case, replay_case
    from ..protocols.players.isolation import Limits

    played = replay_case(read_case(path), target, limits=Limits(seconds=timeout))
    if as_json:
        print_json({"schema": 1, "case": str(path), "fails": played.fails, "said": played.sentence})
    else:
        tell(played.sentence)
    return 3 if played.fails else 0
