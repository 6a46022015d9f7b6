"""Read from a class's docstring its parameters and the mechanisms that it implements.

``Args:`` has a line a parameter, ``name: meaning (default).`` ``Mechanisms:`` has a line a
mechanism, ``name: status[, why].``, with the status ``implemented``, ``adapted``, ``not meaningful
here`` or ``left out``; all but the first say how or why.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Literal

Fidelity = Literal["faithful", "adapted"]
STATUSES = ("implemented", "adapted", "not meaningful here", "left out")
_LINE = re.compile(rf"(?P<name>.+?):\s+(?P<status>{'|'.join(STATUSES)})\b[,;]?\s*(?P<why>.*)")


@dataclass(frozen=True)
class Mechanism:
    """One mechanism of an algorithm's paper: its name, one of ``STATUSES``, and how or why."""

    name: str
    status: str
    why: str


def mechanisms(cls: type) -> tuple[Mechanism, ...]:
    """The mechanisms that a class's docstring lists, in order; empty if it lists none.

    Raises:
        ValueError: a line of that part is not of the form ``name: status[, why].``

    >>> class Half:
    ...     '''Keeps half.
    ...
    ...     Mechanisms:
    ...         attention scores: implemented.
    ...         positions: not meaningful here, the
    ...             game has none.
    ...     '''
    >>> [(one.name, one.status) for one in mechanisms(Half)]
    [('attention scores', 'implemented'), ('positions', 'not meaningful here')]
    >>> mechanisms(Half)[1].why
    'the game has none'
    """
    return tuple(_mechanism(line, cls) for line in _part(cls, "Mechanisms"))


def parameters(cls: type) -> dict[str, str]:
    """The parameters that a class's docstring lists, with their meanings, in order.

    Or, where it lists none, those of the nearest class it builds on. What every compressor is
    given (shape, budget_bits, seed, public) is left out.

    >>> class Half:
    ...     '''Keeps half.
    ...
    ...     Args:
    ...         share: what is kept
    ...             (0.5).
    ...         shape, budget_bits, seed, public: as every compressor.
    ...     '''
    >>> parameters(Half)
    {'share': 'what is kept (0.5)'}
    """
    found: dict[str, str] = {}
    for line in next(filter(None, (_part(base, "Args") for base in cls.__mro__)), []):
        names, _, meaning = line.partition(": ")
        found |= {name: meaning.rstrip(".") for name in names.split(", ") if name not in _GIVEN}
    return found


_GIVEN = ("shape", "budget_bits", "seed", "public")


def _part(cls: type, title: str) -> list[str]:
    """The entries of one part of a docstring, each as a line."""
    text = inspect.cleandoc(vars(cls).get("__doc__") or "")
    _, _, part = text.partition(f"\n{title}:\n")
    entries: list[str] = []
    for line in part.splitlines():
        if not line.strip():
            continue
        if not line.startswith("    "):
            break
        if line.startswith("     ") and entries:
            entries[-1] += " " + line.strip()
        else:
            entries.append(line.strip())
    return entries


def _mechanism(entry: str, cls: type) -> Mechanism:
    match = _LINE.fullmatch(entry.rstrip("."))
    if match is None:
        raise ValueError(
            f"{cls.__name__} lists the mechanism '{entry}': write 'name: status[, why].' with "
            f"one of {', '.join(STATUSES)}."
        )
    return Mechanism(match["name"], match["status"], match["why"])


def fidelity(cls: type) -> Fidelity | None:
    """Faithful if every mechanism is implemented or not meaningful here; None if none is listed."""
    found = mechanisms(cls)
    if not found:
        return None
    kept = ("implemented", "not meaningful here")
    return "faithful" if all(one.status in kept for one in found) else "adapted"
