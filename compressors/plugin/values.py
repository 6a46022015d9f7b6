"""Parameters as people write them: ``?window=8&share=0.5&rotate=true`` and ``--param k=v``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from ...errors import BadInput

_WORDS = {"true": True, "false": False, "none": None}


def parse_value(text: str) -> int | float | bool | str | None:
    """Read a value: whole number, number, true, false, none, else the text itself.

    >>> [parse_value(t) for t in ("8", "-0.5", "1e3", "True", "none", "min-max")]
    [8, -0.5, 1000.0, True, None, 'min-max']
    """
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def number(text: str) -> float:
    """A decimal or a quotient of two, to a float's precision; ValueError for what is no float.

    A Fraction of "1e9999999999" would be computed for hours.

    >>> number("0.25"), number("1/4")
    (0.25, 0.25)
    """
    above, slash, below = text.partition("/")
    divisor = float(below) if slash else 1.0
    value = float(above) / divisor if divisor else math.inf
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is not a finite number")
    return value


def parse_query(text: str, target: str) -> dict[str, Any]:
    """Read ``a=b&c=d``; percent escapes encode special characters.

    Raises:
        BadInput: a part does not have the form name=value, or a name occurs twice.

    >>> parse_query("bits=4&mode=a%26b", "quantized")
    {'bits': 4, 'mode': 'a&b'}
    """
    found: dict[str, Any] = {}
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise BadInput(f"'{part}' in '{target}' must have the form name=value.")
        if name in found:
            raise BadInput(f"'{target}' gives {name} twice: give it once.")
        found[unquote(name)] = parse_value(unquote(value))
    return found


def merge(query: Mapping[str, Any], params: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Join the parameters in a target's text with the other given ones, sorted by name.

    Raises:
        BadInput: both give a name, with different values.
    """
    read = {k: parse_value(v) if isinstance(v, str) else v for k, v in params.items()}
    for name in query.keys() & read.keys():
        if query[name] != read[name]:
            raise BadInput(
                f"{name} is given twice, in '{target}' and again as a parameter: give it once."
            )
    return dict(sorted({**query, **read}.items()))
