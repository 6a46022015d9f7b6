"""Advice that names an option names one that there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import kvbarrier
import pytest
from kvbarrier.cli import cli
from kvbarrier.experiments.engines import one
from kvbarrier.protocols.check.findings import KINDS

HOUSE = Path(kvbarrier.__file__).resolve().parent
ROOMS = ("cli", "compressors", "experiments", "figures", "protocols", "reductions", "runs")
#: of other people's programs
THEIRS = {"--user", "--no-deps", "--find-links"}


def options(command: click.Command, name: str = "") -> Iterator[str]:
    for param in command.params:
        yield from (*param.opts, *param.secondary_opts)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for verb in command.list_commands(context):
            inner = command.get_command(context, verb)
            assert inner is not None
            yield from options(inner)


#: the second command is that of make engines/NAME
KNOWN = {*options(cli), *options(one.main), "--help"}


def named(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b", text))


@pytest.mark.parametrize("code", KINDS)
def test_a_finding_names_the_options_of_check(code: str) -> None:
    context = click.Context(cli)
    check = cli.get_command(context, "check")
    attack = cli.get_command(context, "attack")
    assert check is not None
    assert attack is not None
    for option in named(KINDS[code].what_to_do):
        line = KINDS[code].what_to_do
        asks_attack = f"attack it with {option}" in line
        assert option in set(options(attack if asks_attack else check)), option


@pytest.mark.parametrize("room", ROOMS)
def test_a_sentence_names_an_option_that_there_is(room: str) -> None:
    for path in sorted((HOUSE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                unknown = named(node.value) - KNOWN - THEIRS
                assert not unknown, (path.name, node.lineno, unknown)


def test_it_would_be_found() -> None:
    assert named("give more time (--seconds), or x--y, or --n") == {"--seconds"}
    assert "--seconds" not in KNOWN
