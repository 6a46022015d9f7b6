"""``kvbarrier verify``: check a certificate again."""

from __future__ import annotations

from pathlib import Path

import click

from . import options
from .render import print_json


@click.command(name="verify")
@click.argument("file", type=click.Path(path_type=Path))
@options.as_json
def command(file: Path, as_json: bool) -> None:
    """Derive the claim of the certificate FILE again, and say in one sentence what it proves.

    Uses exact fractions and interval arithmetic, and nothing but the file, which may come from
    anybody. Exit code 1: the claim is false. 2: the file is no certificate, or cannot be checked.
    """
    from ..protocols.certificates.verify import verify

    verdict = verify(file)
    if as_json:
        print_json(verdict.as_dict())
    else:
        click.echo(verdict.sentence)
