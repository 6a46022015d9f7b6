"""The words of the game as code gives them: no click has seen their types."""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping
from typing import Any

import click

from ..errors import BadInput
from .options import game_words


def typed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Words of the game that code gives, each of the type that the command line has for it.

    Raises BadInput for a value of another type, which no click has seen.

    >>> typed({"n": 256, "eta": None, "scale": 8.0})
    {'n': 256, 'eta': None, 'scale': '8.0'}
    """
    kinds = {word.name: word.type for word in game_words().params}
    return {
        name: None if value is None else _typed(name, value, kinds[name])
        for name, value in given.items()
    }


def _typed(name: str, value: Any, kind: click.ParamType[Any]) -> Any:
    if isinstance(kind, click.types.IntParamType):
        return whole(name, value)
    a_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if isinstance(kind, click.types.FloatParamType):
        if not a_number:
            raise BadInput(f"{name} must be a number, not {value!r}.")
        return float(value)
    if a_number and name in _TEXT_OR_NUMBER:
        return str(value)
    if not isinstance(value, str | os.PathLike):
        raise BadInput(f"{name} must be text, not {value!r}.")
    return os.fspath(value)


_TEXT_OR_NUMBER = ("scale", "norm", "at")


def whole(name: str, value: Any) -> int:
    """A whole number that code gives; BadInput for anything else, a fraction too.

    >>> whole("n", 256)
    256
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise BadInput(f"{name} must be a whole number, not {value!r}.")
    return int(value)
