"""What was wrong with a command line, in one sentence of ours: click's own words are a parser's."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

import click
from click.types import FloatParamType, IntParamType

from .render import number


def sentence_of(error: click.ClickException) -> str:
    """What was wrong, what was got, what to do.

    >>> @click.command("attack")
    ... @click.option("-m", "--messages", type=click.IntRange(1, 256))
    ... def attack(messages): ...
    >>> try:
    ...     attack.main(["--messages", "x"], standalone_mode=False)
    ... except click.ClickException as error:
    ...     print(sentence_of(error))
    --messages must be a whole number from 1 to 256, not 'x'.
    """
    context = getattr(error, "ctx", None)
    if isinstance(error, click.MissingParameter):
        return _missing(error)
    if isinstance(error, click.BadParameter) and error.param is not None:
        return _unsuitable(error, error.param)
    if isinstance(error, click.NoSuchOption) and context is not None:
        opts = (name for one in context.command.params for name in one.opts)
        hint = _meant(error.option_name, {name[2:]: name for name in opts if name[:2] == "--"})
        return (
            f"{context.info_name} has no option {error.option_name}."
            f"{hint or f' {context.command_path} --help shows all.'}"
        )
    if isinstance(error, click.BadOptionUsage):
        return f"{error.option_name} needs a value: give one after it."
    extra = re.fullmatch(r"Got unexpected extra arguments? \((.*)\)", error.format_message())
    if extra and context is not None:
        return f"{extra[1]} is one argument too many: write {_form(context)}"
    return error.format_message()


def _form(context: click.Context) -> str:
    pieces = context.command.collect_usage_pieces(context)
    said = " ".join([context.command_path, *(one for one in pieces if one != "[OPTIONS]")])
    return said + "." * (not said.endswith("."))


def _missing(error: click.MissingParameter) -> str:
    name = _name(error.param) if error.param is not None else "An argument"
    kinds = getattr(error.param, "type", None)
    which = f", one of {_or(kinds.choices)}" if isinstance(kinds, click.Choice) else ""
    form = f": write {_form(error.ctx)}" if error.ctx is not None else "."
    return f"{name} is missing{which}{form}"


def _unsuitable(error: click.BadParameter, param: click.Parameter) -> str:
    name, kind, said = _name(param), param.type, error.message
    got = said.partition(" is not ")[0]
    got = got if got[:1] == "'" else f"'{got}'"
    if isinstance(kind, click.Choice):
        meant = _meant(got, {str(one): str(one) for one in kind.choices})
        return f"{name} must be {_or(kind.choices)}, not {got}.{meant}"
    if isinstance(kind, IntParamType | FloatParamType):
        whole = "whole number" if isinstance(kind, IntParamType) else "number"
        return f"{name} must be a {whole}{_range(kind)}, not {got}."
    if isinstance(kind, click.Path):
        trouble = re.sub(r"^\w+ (?=')", "", said).removesuffix(".")
        return f"{trouble}: give another path as {name}."
    return f"{name}: {said}"


def _meant(got: str, known: Mapping[str, str]) -> str:
    """The name that is near to what was got; nothing where none is."""
    near = difflib.get_close_matches(got.strip("'-"), known, n=1)
    return f" Did you mean '{known[near[0]]}'?" if near else ""


def _range(kind: click.ParamType[object]) -> str:
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is not None and high is not None:
        return f" from {number(low)} to {number(high)}"
    if low is not None:
        return f" of at least {number(low)}"
    return "" if high is None else f" of at most {number(high)}"


def _or(words: Iterable[object]) -> str:
    *first, last = map(str, words)
    return f"{', '.join(first)} or {last}" if first else last


def _name(param: click.Parameter) -> str:
    """The long form of an option; of an argument what the help calls it."""
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return (param.metavar or param.human_readable_name).rstrip(".").upper()
