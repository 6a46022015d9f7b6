"""``kvbarrier new``: a commented plug-in to start from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ..errors import BadInput
from ..files import write_new
from . import options
from .render import say

TRY = {
    "compressor": "kvbarrier check {file}   and   kvbarrier attack {file}",
    "reader": "kvbarrier attack {file} --reduction indistinguishability",
}


@click.command(name="new")
@click.argument("file", type=options.WRITE)
@click.option(
    "--kind",
    type=click.Choice(list(TRY)),
    default="compressor",
    show_default=True,
    help="What to write: a compressor, or an algorithm that reads (Theorem 19).",
)
def command(file: Path, kind: str) -> None:
    """Write a commented plug-in to FILE. It runs without changes."""
    from ..compressors.plugin.template import template_text

    if file.suffix != ".py":
        raise BadInput(f"{file} is not a Python file: give a name that ends in .py.")
    if not file.parent.is_dir():
        raise BadInput(f"the folder {file.parent} does not exist: create it first.")
    try:
        write_new(file, template_text(kind))
    except FileExistsError:
        raise BadInput(f"{file} exists already: give another name, or delete it first.") from None
    say(f"wrote {file}; now try:  {TRY[kind].format(file=shlex.quote(str(file)))}")
