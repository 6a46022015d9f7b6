"""What an attack found: points, gaps, the family's ledger; of several targets one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..compressors.catalog import is_builtin
from ..errors import KVBarrierError
from ..protocols.evidence.declared import Declared
from ..protocols.evidence.ledger import Ledger, family_ledger
from ..protocols.evidence.verdicts import PointVerdict, judge_family
from .runner import CellOutcome

if TYPE_CHECKING:
    from ..protocols.check.case import Case


@dataclass(frozen=True)
class Gap:
    """A setting of a compressor that does not fit into a budget.

    ``minimum_bits`` is the smallest budget that works, ``minimum_budget`` the same as a fraction of
    the 16-bit cache.
    """

    compressor: str
    params: Mapping[str, Any]
    budget: Fraction | None
    minimum_bits: int
    minimum_budget: Fraction
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        budget = None if self.budget is None else float(self.budget)
        return {
            "compressor": self.compressor,
            "params": dict(self.params),
            "budget": budget,
            "minimum_bits": self.minimum_bits,
            "minimum_budget": float(self.minimum_budget),
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class Unplayed:
    """A target that could not be played beside others that could, and why."""

    target: str
    error: KVBarrierError

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "target": self.target,
            "error": str(self.error),
            "exit_code": self.error.exit_code,
        }


@dataclass(frozen=True)
class Report:
    """The result: points in the form of ``attack --json``, gaps, the family's ledger.

    Of several targets (:func:`joined`) it has the points of all, each with its ``compressor``, and
    all of them are one family.

    ``verdicts``: what each point says, as it was judged.
    ``together``: with several adversaries one verdict for each setting and null
    (``protocols.evidence.nulls``), corrected for the choice among them: ``broken`` by the average
    of the null's e-values, ``not-broken`` by all of them, and the worst one's error with an
    interval at 1 - (1 - level)/number.

    ``engine``: of an engine's target, for every setting the memories of its cache in bytes
    (``compressors.engines.memories``) and as shares, its packages' versions, and the findings.
    ``soft``: the soft ledgers of the cells with a linear Bob, convicted as a separate family.
    ``declared``: the declaration held against each point, None where there is none.
    ``counterexample``: the first one, played again in fresh processes, or why it is no case.
    ``unplayed``: those of several targets that failed before any message.
    """

    targets: tuple[str, ...]
    points: tuple[dict[str, Any], ...]
    gaps: tuple[Gap, ...]
    verdicts: tuple[PointVerdict, ...] = field(repr=False)
    outcomes: tuple[CellOutcome, ...] = field(repr=False)
    together: tuple[dict[str, Any], ...] = ()
    engine: tuple[dict[str, Any], ...] = ()
    soft: tuple[Ledger, ...] = field(default=(), repr=False)
    declared: tuple[Declared | None, ...] = field(default=(), repr=False)
    counterexample: Case | str | None = None
    unplayed: tuple[Unplayed, ...] = ()

    @property
    def target(self) -> str:
        """The targets as one text."""
        return ", ".join(self.targets)

    @cached_property
    def family(self) -> dict[str, Any]:
        """The ledger of all points together."""
        return judge_family(self.verdicts).as_dict()

    @property
    def as_declared(self) -> bool:
        """Nothing that was declared is refuted; what was not judged is not."""
        return all(one is None or one.verdict != "not-as-declared" for one in self.declared)

    @property
    def builtin(self) -> bool:
        """Whether all targets ship with us."""
        return all(is_builtin(target) for target in self.targets)

    @property
    def impossible(self) -> bool:
        """The charged memory cannot explain the answers (a hidden channel, or our bug)."""
        soft = self.soft and family_ledger(self.soft).verdict
        return "impossible" in (self.family["verdict"], soft)

    @property
    def changed(self) -> bool:
        """Some point's compressor changed during the attack: it was not one algorithm."""
        return any(point["changed"] is not None for point in self.points)

    def failures(self) -> list[str]:
        """The distinct sentences of failed messages."""
        sentences = [s for o in self.outcomes for row in o.rows for s in row.failed if s]
        return list(dict.fromkeys(sentences))

    def as_dict(self) -> dict[str, Any]:
        """One JSON document."""
        return {
            "schema": 1,
            "target": self.target,
            "points": list(self.points),
            "gaps": [gap.as_dict() for gap in self.gaps],
            "family": self.family,
            "adversaries": list(self.together),
            **({"engine": list(self.engine)} if self.engine else {}),
            "failures": self.failures(),
            **({"unplayed": [one.as_dict() for one in self.unplayed]} if self.unplayed else {}),
            **self._counterexample(),
        }

    def _counterexample(self) -> dict[str, Any]:
        case = self.counterexample
        if case is None:
            return {}
        return {"counterexample": {"found": case} if isinstance(case, str) else asdict(case)}


def joined(reports: Sequence[Report], unplayed: Sequence[Unplayed] = ()) -> Report:
    """The reports of several targets as one."""

    def every(name: str) -> tuple[Any, ...]:
        return tuple(one for report in reports for one in getattr(report, name))

    found = (one.counterexample for one in reports if one.counterexample is not None)
    lists = ("targets", "points", "gaps", "verdicts", "outcomes", "together", "engine", "soft",
             "declared")  # fmt: skip
    return Report(
        **{name: every(name) for name in lists},
        counterexample=next(found, None),
        unplayed=tuple(unplayed),
    )
