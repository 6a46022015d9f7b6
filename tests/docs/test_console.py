"""What the README and the docs show on a console is what happens.

A line after ``$`` is run, in a folder with the examples, and what stands below is its output: the
words and their order; numbers may be others, for secrets are fresh. Commands without ``$`` must be
understood: verbs, options and their number of arguments.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SPAN = re.compile(r"(?<!`)`(kvbarrier [a-z][^`]*)`")
CODE = re.compile(r"```(?:console)?\n(.*?)```|((?:^ {4}kvbarrier.*\n)+)", re.S | re.M)
LINE = re.compile(r"^(?: {4})?(kvbarrier [a-z][^\n#]*)", re.M)


def told(text: str) -> list[str]:
    """Words in order, without numbers, seconds, rules and the folding of lines."""
    text = re.sub(r"[─━]+|\x1b\[[0-9;]*m", " ", text)
    return re.sub(r"\d[\d.,]*|\bage\b|\brow\b", "#", text).split()


def consoles() -> ModuleType:
    spec = importlib.util.spec_from_file_location("consoles", ROOT / "docs" / "consoles.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONSOLES = consoles()


def shown_on(page: Path) -> list[tuple[str, str]]:
    found = CONSOLES.BLOCK.findall(page.read_text())
    return [pair for block in found for pair in CONSOLES.commands(block)]


@pytest.mark.parametrize("page", [p for p in PAGES if shown_on(p)], ids=lambda p: p.name)
def test_what_is_shown_is_what_is_said(page: Path, tmp_path: Path) -> None:
    CONSOLES.with_examples(tmp_path)
    for command, shown in shown_on(page):
        said = CONSOLES.said(command, tmp_path)
        assert told(said) == told(shown), f"{page.name}: {command}: run make consoles\n{said}"


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        if page.name == "cli.md":  # generated from the commands themselves
            continue
        text = page.read_text().replace("\\\n", " ")
        code = "\n".join("".join(match) for match in CODE.findall(text))
        lines = LINE.findall(code) + [" ".join(span.split()) for span in SPAN.findall(text)]
        found += [(page.name, line.strip()) for line in lines]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_that_is_shown_is_understood(page: str, line: str) -> None:
    from kvbarrier.cli import cli

    words = [word for word in shlex.split(line) if word not in ("...", "…")]
    words = [word.removesuffix("...") for word in words]
    # As main makes it: a command keeps the help option of the first context that asks for it.
    context = click.Context(cli, info_name="kvbarrier", **cli.context_settings)
    _, verb, rest = cli.resolve_command(context, words[1:])
    assert verb is not None
    try:
        verb.make_context(words[1], rest, parent=context)
    except click.exceptions.Exit:
        pass
    except (click.BadParameter, click.BadOptionUsage):
        pass  # a placeholder is no number and no file that is here; an option may stand alone


def test_an_option_that_is_not_there_is_seen() -> None:
    with pytest.raises(click.NoSuchOption):
        test_a_command_that_is_shown_is_understood("x", "kvbarrier attack a.py --bugdet 1")
