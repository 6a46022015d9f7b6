"""What one point of a curve plays: an instance, a compressor with its parameters, a budget."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import PurePath
from typing import Any

import numpy as np

from ...errors import BadInput
from .coins import LONGEST_SCHEDULE
from .instance import Instance, digest

MAX_BUDGET = 2
LONGEST_TEXT = 4096
"""Characters of a text in a cell's spec."""

_BUDGET = re.compile(r"[0-9]{1,18}(/[0-9]{1,18})?")
_PLAIN = (bool, int, float, str)
_TEXTS = ("basis", "bob", "keys", "queries", "reduction", "schedule", "values")


def target_name(target: str) -> str:
    """Return a target without its folder, so that a cell has one id wherever its file lies.

    >>> target_name("plugins/mine.py:Mine?keep=4"), target_name("a/b.py"), target_name("exact")
    ('mine.py:Mine?keep=4', 'b.py', 'exact')
    """
    path, mark, query = target.partition("?")
    file, dot_py, rest = path.partition(".py")
    if not dot_py or rest[:1] not in ("", ":"):
        return target
    return PurePath(file).name + dot_py + rest + mark + query


@dataclass(frozen=True)
class Cell:
    """An instance, a compressor with its parameters, a budget: what one point of a curve plays.

    Attributes:
        target: as on the command line: a catalog name, ``module:Class``, ``path/file.py:Class``.
        params: keyword parameters of the compressor, as sorted pairs of plain data.
        budget: a fraction of the 16-bit cache, in (0, 2]; None for as much as it likes.
        batch_size: messages in a batch.
    """

    instance: Instance
    target: str
    params: tuple[tuple[str, Any], ...] = ()
    budget: Fraction | None = None
    batch_size: int = 16

    def __post_init__(self) -> None:
        if self.budget is not None:
            object.__setattr__(self, "budget", Fraction(self.budget))
            assert self.budget is not None
            if not 0 < self.budget <= MAX_BUDGET:
                raise BadInput(
                    f"A budget of {self.budget} is not a fraction of the 16-bit cache: give one "
                    f"over 0 and up to {MAX_BUDGET}."
                )
        if self.batch_size < 1:
            raise BadInput(f"A batch must have 1 message or more, not {self.batch_size}.")
        object.__setattr__(self, "batch_size", int(self.batch_size))
        pairs = self.params.items() if isinstance(self.params, Mapping) else self.params
        object.__setattr__(
            self, "params", tuple(sorted((str(name), _plain(v)) for name, v in pairs))
        )

    @property
    def budget_bits(self) -> int | None:
        """Bits: floor(budget * 16 n (d_k + d_v)), or None."""
        if self.budget is None:
            return None
        return math.floor(self.budget * self.instance.shape.cache_bits_16)

    def spec(self) -> dict[str, Any]:
        """Return everything that makes the cell, as plain JSON data."""
        return {
            "batch_size": self.batch_size,
            "budget": None if self.budget is None else str(self.budget),
            "instance": self.instance.spec(),
            "params": dict(self.params),
            "target": target_name(self.target),
        }

    @property
    def id(self) -> str:
        """16 hexadecimal digits of the spec."""
        return digest(self.spec())


def cell_of(spec: Mapping[str, Any]) -> Cell:
    """The cell of a spec (``Cell.spec``). Raises BadInput for another dict.

    A spec names a target's file without its folder, so the path must be given again.

    >>> from kvbarrier.protocols.game.instances import Index
    >>> cell = Cell(Index(n=32, d=8), "exact", budget=Fraction(1, 4))
    >>> cell_of(cell.spec()) == cell
    True
    """
    from .instances import of_spec

    try:
        check_spec(spec)
        budget = spec["budget"]
        return Cell(
            of_spec(spec["instance"]),
            spec["target"],
            tuple(spec["params"].items()),
            None if budget is None else Fraction(budget),
            spec["batch_size"],
        )
    except BadInput:
        raise
    except (KeyError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise BadInput(
            f"A row's cell cannot be read ({error}): use the version of kvbarrier that wrote it."
        ) from None


def check_spec(spec: Any) -> None:
    """Check the kinds and sizes of a spec that anybody may have written, not what it means.

    Raises KeyError, TypeError, AttributeError or ValueError.
    """
    if not isinstance(spec["target"], str) or not 0 < len(spec["target"]) <= LONGEST_TEXT:
        raise ValueError(f"its target must be a text of 1 to {LONGEST_TEXT} characters")
    budget = spec["budget"]
    # A fraction of a huge power of ten would be computed first and refused then.
    if budget is not None and not (isinstance(budget, str) and _BUDGET.fullmatch(budget)):
        raise ValueError('its budget must be null or a fraction, such as "1/4"')
    instance = spec["instance"]
    for name, value in (*spec["params"].items(), *instance.items()):
        if value is not None and not isinstance(value, _PLAIN):
            raise ValueError(f"its {name[:40]} is neither a number nor a text")
        longest = LONGEST_SCHEDULE if name == "schedule" else LONGEST_TEXT
        if isinstance(value, str) and len(value) > longest:
            raise ValueError(f"its {name[:40]} is longer than {longest} characters")
    for name in _TEXTS:
        if name in instance and not isinstance(instance[name], str):
            raise ValueError(f"its {name} must be a text")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise BadInput(f"A parameter has {len(value)} characters: give {LONGEST_TEXT} or fewer.")
    if value is None or isinstance(value, _PLAIN):
        return value
    raise BadInput(f"A parameter is a number or a word, not a {type(value).__name__}.")


@dataclass(frozen=True)
class Batch:
    """Messages ``number * batch_size`` and on, of a cell, under a master key."""

    cell: Cell
    key: bytes
    number: int
