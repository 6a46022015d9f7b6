"""Defaults of the options from a project's file: ``[tool.kvbarrier.VERB]`` or kvbarrier.toml.

    [tool.kvbarrier.attack]        # in pyproject.toml; in kvbarrier.toml it is [attack]
    n = 256
    budget = ["1/4", "1/2"]

    [tool.kvbarrier]               # for every verb that has the option
    expect = ["keeps=all", "bits=4"]

The nearest file upwards from the working folder counts; kvbarrier.toml before pyproject.toml. What
stands on the command line goes before what stands there.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from ..errors import BadInput, did_you_mean

OWN = "kvbarrier.toml"
PROJECT = "pyproject.toml"


def defaults_of(verb: str, command: click.Command) -> dict[str, Any]:
    """The defaults of a verb, by the names of its parameters.

    Raises:
        BadInput: the file cannot be read, or names an option that the verb does not have.
    """
    path, table = _table()
    if path is None:
        return {}
    own = table.get(verb, {})
    shared = {name: value for name, value in table.items() if not isinstance(value, dict)}
    if not isinstance(own, dict):
        raise BadInput(f"{path}: {verb} must be a table of options, [{_title(path, verb)}].")
    names = {
        option.lstrip("-"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option.startswith("--")
    }
    found = {}
    shared = {name: value for name, value in shared.items() if name.replace("_", "-") in names}
    for name, value in (shared | own).items():
        parameter = names.get(name.replace("_", "-"))
        if parameter is None or parameter.name is None:
            raise BadInput(f"{path}: {verb} has no option '{name}'.{did_you_mean(name, names)}")
        several = isinstance(value, list)
        if several and not parameter.multiple:
            raise BadInput(f"{path}: {verb} takes one {name}, not a list.")
        said = [_word(path, verb, name, one, parameter) for one in (value if several else [value])]
        found[parameter.name] = said if parameter.multiple else said[0]
    return found


def _word(path: Path, verb: str, name: str, value: Any, option: click.Option) -> str | bool:
    """A value as the command line would have it: true or false of a flag, else text."""
    flag, told = bool(option.is_flag), isinstance(value, bool)
    # No command line has a NUL, and no system call takes one.
    if flag is not told or not isinstance(value, str | int | float) or "\0" in str(value):
        wanted = "true or false" if flag else "a text or a number"
        raise BadInput(f"{path}: {name} of {verb} is {value!r}: write {wanted}.")
    return value if isinstance(value, bool) else str(value)


def _table() -> tuple[Path | None, dict[str, Any]]:
    here = Path.cwd()
    for folder in (here, *here.parents):
        for name in (OWN, PROJECT):
            path = folder / name
            if not path.is_file():
                continue
            try:
                said = tomllib.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise BadInput(f"{path} cannot be read ({error}): correct it.") from None
            own = said if name == OWN else said.get("tool", {}).get("kvbarrier")
            if own is not None:
                return path, own
    return None, {}


def _title(path: Path, verb: str) -> str:
    return verb if path.name == OWN else f"tool.kvbarrier.{verb}"
