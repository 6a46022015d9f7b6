"""Which tokens must answer: the operations, applied to lists of token numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...errors import BadInput
from .schedule import Operation, Schedule

MOST_TOKENS = 1 << 20
MOST_SEQUENCES = 64
MOST_INSTANCES = 16
_MOST_FILE = 1 << 20


@dataclass
class Oracle:
    """What a correct cache holds, instance by instance and sequence by sequence.

    Attributes:
        sequences: with how many a batch begins, or None.
        fed: how many tokens were ever fed; they are numbered from 0.
        instances: for each instance the sequences of its batch, each a list of token numbers.
        at: the instance that one goes on with.
        longest: the most tokens that a sequence ever had.
        moved: for each instance the position of its first token, which only ``shift`` moves.

    >>> oracle = Oracle.after(Schedule.of("append 4, drop 1 3, append 1, fork, crop 2"))
    >>> oracle.instances, oracle.fed, oracle.survivors
    ([[[0, 3]], [[0, 3, 4]]], 5, (0, 3, 4))
    """

    sequences: int | None = None
    fed: int = 0
    instances: list[list[list[int]]] = field(default_factory=list)
    at: int = 0
    longest: int = 0
    moved: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        if not self.instances:
            self.instances = [[[] for _ in range(self.sequences or 1)]]

    @classmethod
    def after(cls, schedule: Schedule) -> Oracle:
        """What is held after a legal schedule; raises BadInput for another one."""
        oracle = cls(schedule.sequences)
        for at, operation in enumerate(schedule.operations):
            if why := oracle.refusal(operation):
                raise BadInput(f"operation {at}, {operation}: {why}")
            oracle.apply(operation)
        return oracle

    @property
    def batch(self) -> list[list[int]]:
        """The sequences of the instance that one goes on with."""
        return self.instances[self.at]

    @property
    def length(self) -> int:
        """How many tokens each of them has."""
        return len(self.batch[0])

    @property
    def survivors(self) -> tuple[int, ...]:
        """The tokens held in any sequence of any instance, in order."""
        return tuple(sorted({t for batch in self.instances for row in batch for t in row}))

    def refusal(self, operation: Operation) -> str:
        """Why an operation is not legal now, as a sentence; "" if it is."""
        name, numbers = operation.name, operation.arguments
        if "append" in name or "extend" in name:
            width = len(self.batch) if name.endswith("-each") else 1
            if numbers[0] < 1:
                return "it feeds no token: feed 1 or more."
            if self.fed + width * numbers[0] > MOST_TOKENS:
                return f"more than {MOST_TOKENS} tokens are fed: feed fewer."
        elif name == "crop" and not 0 <= numbers[0] <= self.length:
            return f"there are {self.length} tokens: keep 0 to {self.length}."
        elif name == "drop" and not 0 <= numbers[0] < numbers[1] <= self.length:
            return f"there are {self.length} tokens: drop begin < end, both from 0 to that."
        elif name == "select":
            if self.sequences is None:
                return "the schedule has no batch: give sequences, the number that it begins with."
            if not all(0 <= i < len(self.batch) for i in numbers):
                return f"there are {len(self.batch)} sequences, numbered from 0: select among them."
            if len(numbers) > MOST_SEQUENCES:
                return f"a batch has at most {MOST_SEQUENCES} sequences: select fewer."
        elif name == "shift" and self.moved[self.at] + numbers[0] < 0:
            return f"the first position would be {self.moved[self.at] + numbers[0]}: shift by less."
        elif name in ("fork", "copy") and len(self.instances) >= MOST_INSTANCES:
            return f"there are {MOST_INSTANCES} instances already: make fewer."
        elif name == "switch" and not 0 <= numbers[0] < len(self.instances):
            return f"there are {len(self.instances)} instances, numbered from 0: take one of them."
        return ""

    def apply(self, operation: Operation) -> list[list[int]]:
        """Do a legal operation; return the tokens that it feeds, step by step.

        Each step has one token for all sequences, or one for each.
        """
        name, numbers, batch = operation.name, operation.arguments, self.batch
        if "append" in name or "extend" in name:
            width = len(batch) if name.endswith("-each") else 1
            steps = []
            for _ in range(numbers[0]):
                step = list(range(self.fed, self.fed + width))
                self.fed += width
                for row, token in zip(batch, step * (len(batch) // width), strict=True):
                    row.append(token)
                steps.append(step)
            self.longest = max(self.longest, self.length)
            return steps
        if name == "crop":
            self.instances[self.at] = [row[: numbers[0]] for row in batch]
        elif name == "drop":
            self.instances[self.at] = [row[: numbers[0]] + row[numbers[1] :] for row in batch]
        elif name == "select":
            self.instances[self.at] = [list(batch[i]) for i in numbers]
        elif name == "reset":
            self.instances[self.at] = [[] for _ in range(self.sequences or 1)]
            self.moved[self.at] = 0
        elif name == "shift":
            self.moved[self.at] += numbers[0]
        elif name in ("fork", "copy"):
            self.instances.append([list(row) for row in batch])
            self.moved.append(self.moved[self.at])
        elif name == "switch":
            self.at = numbers[0]
        return []


def check_legal(schedule: Schedule, where: str = "the schedule") -> Oracle:
    """Return what is held after a schedule.

    Raises:
        BadInput: an operation is not legal where it stands.
    """
    if schedule.sequences is not None and not 1 <= schedule.sequences <= MOST_SEQUENCES:
        raise BadInput(f"{where} has {schedule.sequences} sequences: give 1 to {MOST_SEQUENCES}.")
    try:
        oracle = Oracle.after(schedule)
    except BadInput as error:
        raise BadInput(f"{where}, {error}") from None
    return oracle


def is_legal(schedule: Schedule) -> bool:
    """Whether :func:`check_legal` finds nothing.

    >>> is_legal(Schedule.of("append 2, crop 3"))
    False
    """
    try:
        check_legal(schedule)
    except BadInput:
        return False
    return True


def read_schedule(path: str | Path) -> Schedule:
    """The schedule of a JSON file.

    Raises:
        BadInput: it cannot be read, or is no legal schedule.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MOST_FILE + 1)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not a schedule: it is not UTF-8 text.") from None
    if len(text) > _MOST_FILE:
        raise BadInput(f"{path} is longer than {_MOST_FILE} characters: it is not a schedule.")
    schedule = Schedule.of_json(text, str(path))
    if not check_legal(schedule, str(path)).fed:
        raise BadInput(f"{path} feeds no token: append some.")
    return schedule
