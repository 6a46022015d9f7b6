"""A schedule: the public sequence of operations that a cache lives through, as plain data.

A schedule holds no data. Every token that it feeds is new, numbered from 0 in the order in which
it is fed; who performs it (``perform``) gives each number a public key and a secret row.

| operation | what happens |
|---|---|
| ``append m`` | m new tokens one by one; in a batch every sequence gets the same |
| ``extend m`` | the same in one call of ``extend`` |
| ``append-each m``, ``extend-each m`` | m steps, in each every sequence its own new token |
| ``crop t`` | keep the first t |
| ``drop b e`` | take b .. e-1 out of the middle; what came after closes up |
| ``select i j ..`` | the batch becomes its sequences i, j, .. |
| ``reset`` | all is gone |
| ``shift by`` | the positions of all that is held move |
| ``save`` | save, restore on a fresh instance, and go on there |
| ``fork`` | ``fork()`` makes another instance, with the next number; one goes on with the old one |
| ``copy`` | the same by save and restore |
| ``switch i`` | go on with instance i; the schedule begins with instance 0 |
| ``ask`` | ask for every token here and now, as it is done at the end |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...compressors.plugin.operations import OPERATIONS
from ...errors import BadInput, did_you_mean

SCHEMA = 1

MOST_OPERATIONS = 4096
_MOST_NUMBER = 1 << 24

ARGUMENTS: dict[str, int | None] = {
    "append": 1, "extend": 1, "append-each": 1, "extend-each": 1, "crop": 1, "drop": 2,
    "select": None, "reset": 0, "shift": 1, "save": 0, "fork": 0, "copy": 0, "switch": 1, "ask": 0,
}  # fmt: skip
"""How many numbers each operation takes; None: one or more."""


@dataclass(frozen=True)
class Operation:
    """One operation: its name and its numbers.

    >>> print(Operation("drop", (2, 5)))
    drop 2 5
    """

    name: str
    arguments: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in ARGUMENTS:
            hint = did_you_mean(self.name, tuple(ARGUMENTS))
            raise BadInput(f"There is no operation '{self.name}'.{hint}")
        for number in self.arguments:
            if type(number) is not int or abs(number) > _MOST_NUMBER:
                raise BadInput(f"{self.name} takes whole numbers, not {number!r}: give integers.")
        wanted = ARGUMENTS[self.name]
        if len(self.arguments) != wanted and (wanted is not None or not self.arguments):
            numbers = "one number or more" if wanted is None else f"{wanted} numbers"
            raise BadInput(f"{self.name} takes {numbers}, not {len(self.arguments)}: correct it.")

    def __str__(self) -> str:
        return " ".join([self.name, *map(str, self.arguments)])


@dataclass(frozen=True)
class Schedule:
    """Operations in order; ``sequences`` is None, or with how many a batch begins.

    >>> one = Schedule((Operation("append", (2,)), Operation("crop", (1,))))
    >>> str(one), Schedule.of_json(one.to_json()) == one
    ('append 2, crop 1', True)
    """

    operations: tuple[Operation, ...]
    sequences: int | None = None

    @classmethod
    def of(cls, line: str, sequences: int | None = None) -> Schedule:
        """The schedule of a line such as ``"append 2, crop 1"``.

        Raises:
            BadInput: a word in it is no operation or no number.
        """
        found = []
        for part in filter(None, (part.split() for part in line.split(","))):
            try:
                numbers = tuple(int(word) for word in part[1:])
            except ValueError:
                raise BadInput(
                    f"'{' '.join(part)}' is not an operation: write its name and whole numbers."
                ) from None
            found.append(Operation(part[0], numbers))
        return cls(tuple(found), sequences)

    @property
    def needs(self) -> tuple[str, ...]:
        """The optional methods that a compressor must have for it."""
        used = {one.name for one in self.operations}
        needed = used | ({"select"} if self.sequences is not None else set())
        return tuple(name for name in OPERATIONS if name in needed)

    def __str__(self) -> str:
        line = ", ".join(map(str, self.operations)) or "nothing"
        return line if self.sequences is None else f"{self.sequences} sequences: {line}"

    # -- JSON ------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "schema": SCHEMA,
            "sequences": self.sequences,
            "operations": [[one.name, *one.arguments] for one in self.operations],
        }

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict())

    @classmethod
    def of_dict(cls, data: Any, where: str = "the schedule") -> Schedule:
        """The schedule of plain data.

        Raises:
            BadInput: it has another schema, other fields, or an operation that there is not.
        """
        if not isinstance(data, Mapping) or "schema" not in data:
            raise BadInput(f"{where} is not a schedule: it must be an object with a schema.")
        if data["schema"] != SCHEMA or type(data["schema"]) is not int:
            raise BadInput(
                f"{where} has schema {data['schema']!r}, and this version reads schema {SCHEMA}: "
                "use the version that wrote it."
            )
        if set(data) != {"schema", "sequences", "operations"}:
            raise BadInput(
                f"{where} has the fields {', '.join(sorted(map(str, data)))}: a schedule has "
                "schema, sequences and operations."
            )
        sequences, operations = data["sequences"], data["operations"]
        if sequences is not None and (type(sequences) is not int or sequences < 1):
            raise BadInput(f"{where} has sequences {sequences!r}: give 1 or more, or null.")
        if not isinstance(operations, list) or len(operations) > MOST_OPERATIONS:
            raise BadInput(f"{where} needs a list of at most {MOST_OPERATIONS} operations.")
        found = []
        for at, said in enumerate(operations):
            if not isinstance(said, list) or not said or not isinstance(said[0], str):
                raise BadInput(f'{where}, operation {at}: write ["append", 5], not {said!r}.')
            try:
                found.append(Operation(said[0], tuple(said[1:])))
            except BadInput as error:
                raise BadInput(f"{where}, operation {at}: {error}") from None
        return cls(tuple(found), sequences)

    @classmethod
    def of_json(cls, text: str, where: str = "the schedule") -> Schedule:
        """The schedule of JSON text; raises BadInput as :meth:`of_dict`, and for torn text."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadInput(
                f"{where} is not JSON ({error}): check that the file is complete."
            ) from None
        return cls.of_dict(data, where)
