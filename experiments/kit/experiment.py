"""What an experiment is: a run that fills a folder with tables, and claims that the tables decide.

An experiment is a folder. Its ``measure`` has the grid, the tables and the run; its ``claims`` are
checks: each is a function of the tables that its ``@claim(...)`` names, and its docstring is the
statement that it decides.

One claim a check. A claim says what it is about (a numbered statement of the paper, or an
observation of ours), which tables decide it, and where its statement comes from: ``paper``,
``reconstructed`` (the paper's formula rebuilt from its prose) or ``ours``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

from .run import Run, Scale
from .tables import read_table

Verdict = Literal["holds", "fails", "undecided"]
Source = Literal["paper", "reconstructed", "ours"]

AFTER = " (threshold set after the first data)"


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim and the evidence in one line."""

    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class Claim:
    """A statement that a run can refute.

    Attributes:
        name: ``topic.word``, in the table of claims.
        about: the numbered statement of the paper that it tests, or "observation" for ours.
        statement: one sentence that a reader of the table understands.
        source: ``paper``, ``reconstructed`` or ``ours``.
        data: the tables that decide it, by file name.
        check: reads the experiment's folder, and only those tables.
        preregistered: its thresholds were fixed before its first data; False is marked wherever
            the claim is shown, because a number chosen after looking is easier to meet.
    """

    name: str
    about: str
    statement: str
    source: Source
    data: tuple[str, ...]
    check: Callable[[Path], Judgement]
    preregistered: bool = True

    @property
    def sentence(self) -> str:
        """The statement as every table of claims shows it.

        >>> claim = Claim("a.b", "observation", "At most .121", "ours", (), judge, False)
        >>> claim.sentence
        'At most .121 (threshold set after the first data)'
        """
        return self.statement + ("" if self.preregistered else AFTER)


class Data(Protocol):
    """A file of an experiment's folder, and what a check is given of it."""

    @property
    def name(self) -> str:
        """The file's name."""

    def read(self, folder: Path) -> Any:
        """What the check is given; BadInput where the file is missing."""


def claim(
    name: str, about: str, source: Source, *data: str | Data, preregistered: bool = True
) -> Callable[[Callable[..., Judgement]], Claim]:
    """The claim that the function below decides; it takes the data as arguments, in their order.

    The first paragraph of the function's docstring is the statement. A name in ``data`` is a CSV
    table's, and the check is given its DataFrame.

    >>> @claim("a.b", "observation", "ours")
    ... def nothing_wrong() -> Judgement:
    ...     "Nothing is wrong."
    ...     return judge(True, "0 errors")
    >>> nothing_wrong.statement, nothing_wrong.check(Path()).verdict
    ('Nothing is wrong', 'holds')
    """
    files = tuple(dict.fromkeys(one if isinstance(one, str) else one.name for one in data))

    def decided_by(check: Callable[..., Judgement]) -> Claim:
        statement = " ".join((check.__doc__ or "").split("\n\n")[0].split()).removesuffix(".")
        decide = partial(_decide, check, data)
        return Claim(name, about, statement, source, files, decide, preregistered)

    return decided_by


def _decide(
    check: Callable[..., Judgement], data: tuple[str | Data, ...], folder: Path
) -> Judgement:
    return check(
        *(read_table(folder, one) if isinstance(one, str) else one.read(folder) for one in data)
    )


def claims_of(*modules: ModuleType) -> tuple[Claim, ...]:
    """The claims of these modules, in the order in which they are written there."""
    return tuple(
        one for module in modules for one in vars(module).values() if isinstance(one, Claim)
    )


@dataclass(frozen=True)
class Experiment:
    """One experiment. ``run`` is idempotent: a second run of a finished one does nothing.

    ``minutes`` is what a run is expected to take on two cores, by scale: said before it starts.
    """

    name: str
    title: str
    run: Callable[[Run], None]
    claims: tuple[Claim, ...]
    minutes: Mapping[Scale, float] = field(default_factory=dict)


def judge(holds: bool, evidence: str, *, decided: bool = True) -> Judgement:
    """A judgement from a comparison; ``decided=False`` says that the data cannot tell.

    >>> judge(True, "0 errors").verdict, judge(False, "", decided=False).verdict
    ('holds', 'undecided')
    """
    if not decided:
        return Judgement("undecided", evidence)
    return Judgement("holds" if holds else "fails", evidence)
