"""The attack on one target: every setting at every budget, judged one by one and together.

A setting that does not fit into a budget gives no point but a gap, with the smallest budget.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from ..compressors.catalog import is_builtin
from ..compressors.engines.schemes import is_engine
from ..compressors.plugin.declaration import Declaration
from ..errors import BadInput, BudgetTooSmall, KVBarrierError, PluginFailure
from ..protocols.evidence.betting import adjusted_level
from ..protocols.evidence.declared import Declared
from ..protocols.evidence.ledger import Ledger
from ..protocols.evidence.nulls import null_of
from ..protocols.evidence.verdicts import LEVEL
from ..protocols.game.cell import Cell, target_name
from ..protocols.game.coins import Keyring
from ..protocols.game.index_game import Rehearsal, Session
from ..protocols.game.instance import Instance
from ..protocols.game.instances import Index
from ..protocols.players.isolation import Limits
from ..protocols.players.template import held
from .attack_report import Gap, Report
from .batches import one_blas_thread
from .declaring import counterexample, declaring, held_against, on_shorter_streams
from .executors import make_executor
from .lost import as_map
from .points import judge_cell, point_of, together_of
from .results import Results, ResultsWarning
from .room import is_long, refuse_too_large, side_by_side
from .runner import CellOutcome, Facts, Step, run_cells
from .stopping import BATCH_SIZE, FixedMessages, Stopping, UntilDecided, batch_size_for

BUDGETS = tuple(Fraction(1, 2**k) for k in range(6, -1, -1))
"""1/64, 1/32, ..., 1 of the 16-bit cache."""


@dataclass(frozen=True)
class Attack:
    """What to play. ``messages`` None plays until the guarantee is decided, at most 256.

    ``others`` are further adversaries: the same game on other streams, or with another Bob. Then
    every cell is played until it is decided at the level at which all of its null hold together.

    ``budgets`` are fractions of the 16-bit cache; an entry None is no limit. None instead of a
    list means the ``usual`` ones, and no limit for a setting that fits into none of these.
    ``params`` are the compressor's own; ``sweep`` gives several values to some of them (their
    cross product is played). ``isolation`` None is the target's default: inline for our own code,
    else namespaces if the kernel allows them, and processes if not. ``declaration`` None is
    what the target declares of itself, and ``undeclared`` where it declares nothing.
    """

    target: str
    instance: Instance
    budgets: Sequence[Fraction | None] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    messages: int | None = None
    isolation: str | None = None
    limits: Limits = field(default_factory=Limits)
    others: Sequence[Instance] = ()
    declaration: Declaration | None = None
    undeclared: Declaration | None = None
    usual: Sequence[Fraction] = BUDGETS

    @property
    def adversaries(self) -> tuple[Instance, ...]:
        """All instances that are played."""
        return (self.instance, *self.others)

    def cells(self) -> list[Cell]:
        """Every setting at every budget; for the default ones, those that are tried first."""
        usual = BATCH_SIZE if self.messages is None else batch_size_for(self.messages)
        sizes = [(one, 1 if is_long(one) else usual) for one in self.adversaries]
        return [
            Cell(instance, self.target, tuple(setting.items()), budget, size)
            for instance, size in sizes
            for setting in self._settings()
            for budget in self._budgets()
        ]

    def settings(self) -> list[dict[str, Any]]:
        """What gates select from: the budget and the parameters of every cell."""
        return [
            {"budget": cell.budget and float(cell.budget), "params": dict(cell.params)}
            for cell in self.cells()
        ]

    def stopping(self) -> Stopping:
        """When a cell has been played enough."""
        if self.messages is not None:
            return FixedMessages(self.messages)
        of_a_null = Counter(null_of(instance) for instance in self.adversaries)
        return UntilDecided(adjusted_level(LEVEL, max(of_a_null.values())))

    def _budgets(self) -> Sequence[Fraction | None]:
        if self.budgets is not None:
            return self.budgets
        # The memory of an engine follows its own parameters.
        return (None,) if is_engine(self.target) else self.usual

    def _settings(self) -> list[dict[str, Any]]:
        twice = set(self.params) & set(self.sweep)
        if twice:
            raise BadInput(
                f"{', '.join(sorted(twice))} is given by --param and by --sweep: give it once."
            )
        names = list(self.sweep)
        return [
            {**self.params, **dict(zip(names, values, strict=True))}
            for values in itertools.product(*self.sweep.values())
        ]


def attack(
    target: str,
    *,
    instance: Instance | None = None,
    store: Results | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    progress: Callable[[Step], None] | None = None,
    **options: Any,
) -> Report:
    """Attack a target; ``options`` are the fields of :class:`Attack`.

    The default instance is the command line's: jl keys, n = 512, d = 64, eta = 1/2, the tight
    scale. Raises what :func:`play` raises.

    >>> report = attack("zero", instance=Index(n=32, d=16, keys="hypercube"), messages=4)
    >>> {point["charged_bits"] for point in report.points}
    {0}
    """
    plan = Attack(target, instance or Index(n=512, d=64), **options)
    return play(plan, store=store, workers=workers, cluster=cluster, progress=progress)


def play(
    plan: Attack,
    *,
    store: Results | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    progress: Callable[[Step], None] | None = None,
    keyring: Keyring | None = None,
    announce: Callable[[str], None] | None = None,
) -> Report:
    """Play a plan; continue from what the store holds.

    With a ``keyring``, which other plans share (:mod:`.several`), built-ins draw fresh keys too.
    ``announce`` hears before the first message what a long attack is estimated to take.

    Raises BudgetTooSmall if no setting fits into any budget, PluginFailure if the target
    cannot be constructed or fails in a rehearsal, BadInput, Interrupted.
    """
    builtin = is_builtin(plan.target)
    asked = plan.isolation or ("inline" if builtin else None)
    gaps: list[Gap] = []
    engine: list[dict[str, Any]] = []
    store = store or Results()
    # Workers of a cluster have memory of their own.
    batches = sum(map(plan.stopping().most, plan.cells()))
    refuse_too_large(plan.cells(), at_once=min(batches, 1 if cluster else workers or 1))
    # One pair of players probes, rehearses, and plays the first batches.
    with held(), Session(asked, plan.limits) as session, ExitStack() as stack:
        if is_engine(plan.target):
            playable, facts, engine = _probe_engine(plan, session)
        else:
            playable, facts, gaps = _probe(plan, session)
            if not builtin:
                # The last budget is the largest: what fails or is slow is so there.
                _rehearse(playable[-1:], session)
            elif asked != "inline" and not is_long(plan.instance):
                # What a message takes says how many batches one pair of players plays.
                session.rehearse(playable[-1])
        _tell_apart(store, facts)
        isolation = session.isolation
        count = workers or side_by_side(playable, _workers(builtin, isolation))
        if announce is not None and is_long(playable[-1].instance):
            from .forecast import estimates

            at_once = 1 if cluster else count
            for sentence in estimates(playable, session, plan.stopping(), at_once):
                announce(sentence)
        own = {id_: fact.declares for id_, fact in facts.items()}
        facts = declaring(plan.declaration, plan.undeclared, facts)
        declarations = {id_: Declaration.of(fact.declares) for id_, fact in facts.items()}
        less = on_shorter_streams(playable, declarations, own, session)
        here = cluster is None and isolation != "inline"
        if not here:
            session.close()
        executor = stack.enter_context(make_executor(count, isolation, cluster))
        outcomes = run_cells(
            playable,
            store,
            stopping=plan.stopping(),
            executor=executor,
            isolation=isolation,
            limits=plan.limits,
            progress=progress,
            facts=lambda cell: facts[cell.id],
            session=session if here else None,
            pairs=count,
            keys="auto" if keyring is None else "fresh",
            keyring=keyring,
        )
    played = [outcome for outcome in outcomes if outcome.rows]
    soft = _soft_ledgers(played, plan.limits)
    declared = held_against(played, declarations, less)
    with one_blas_thread("inline"):  # maps are many small products
        report = _report(plan.target, outcomes, gaps, engine, soft, declared)
    return replace(report, counterexample=counterexample(played, declared, plan.limits))


def _soft_ledgers(
    played: Sequence[CellOutcome], limits: Limits
) -> dict[str, tuple[Ledger, dict[str, Any]]]:
    """Of every cell with a linear Bob: its soft ledger, and what the report says of that."""
    linear = [outcome for outcome in played if outcome.cell.instance.bob == "linear"]
    if not linear:
        return {}
    from .soft import as_dict, soft_of

    found = {outcome.cell.id: (soft_of(outcome, limits), outcome) for outcome in linear}
    return {id_: (ledger, as_dict(ledger, outcome)) for id_, (ledger, outcome) in found.items()}


def _tell_apart(store: Results, facts: Mapping[str, Facts]) -> None:
    """Warn once of rows that other code played: they stay in the file and out of the verdict."""
    others = [
        row for row in store.rows if row.cell in facts and row.source != facts[row.cell].source
    ]
    if others:
        batches = "1 batch" if len(others) == 1 else f"{len(others)} batches"
        now = ", ".join(sorted({facts[row.cell].source for row in others}))
        then = ", ".join(sorted({row.source for row in others}))
        warnings.warn(
            f"{store.where} holds {batches} of '{others[0].compressor}' from other code "
            f"(source {then}; the current source is {now}): they stay in the file and are not "
            "counted.",
            ResultsWarning,
            stacklevel=3,
        )


def _workers(builtin: bool, isolation: str) -> int:
    # Our own compressors need less time inline than a worker process needs to start; a foreign
    # class played inline may not be safe in two threads.
    return 1 if builtin or isolation == "inline" else os.cpu_count() or 1


def _probe(plan: Attack, session: Session) -> tuple[list[Cell], dict[str, Facts], list[Gap]]:
    """Construct every setting in a player before any secret is drawn; what cannot live is a gap."""
    playable: list[Cell] = []
    facts: dict[str, Facts] = {}
    gaps: dict[tuple[Any, ...], Gap] = {}
    refused: list[BudgetTooSmall] = []

    def probe(cells: Sequence[Cell]) -> None:
        for cell, found in zip(cells, session.probe(cells), strict=True):
            if isinstance(found, BudgetTooSmall):
                share = Fraction(found.minimum_bits, cell.instance.shape.cache_bits_16)
                gap = Gap(
                    target_name(cell.target), dict(cell.params), cell.budget, found.minimum_bits,
                    share, str(found),
                )  # fmt: skip
                # What cannot live in a budget cannot for any adversary: one gap for all.
                gaps.setdefault((cell.params, cell.budget, found.minimum_bits), gap)
                refused.append(found)
            elif isinstance(found, KVBarrierError):
                raise found
            elif found.budgeted or cell.budget is None or plan.budgets is not None:
                facts[cell.id] = Facts(found.source, found.builtin, found.declares)
                playable.append(cell)

    cells = plan.cells()
    probe(cells)
    if plan.budgets is None:
        living = {(cell.instance, cell.params) for cell in playable}
        homes = {(cell.instance, cell.params): cell for cell in cells}
        homeless = [cell for home, cell in homes.items() if home not in living]
        probe([replace(cell, budget=None) for cell in homeless])
    if refused and not playable:
        raise refused[-1]
    return playable, facts, list(gaps.values())


def _probe_engine(
    plan: Attack, session: Session
) -> tuple[list[Cell], dict[str, Facts], list[dict[str, Any]]]:
    """Rehearse every setting of an engine, which knows no budgets, with one pair of players.

    Also returns what its caches occupied, and its versions.
    """
    cells = plan.cells()
    settings = [cell for cell in cells if cell.instance == plan.instance]
    session.probe(cells)
    played = _rehearse(settings, session)
    said = [
        {
            "compressor": target_name(cell.target),
            "params": dict(cell.params),
            "memories": rehearsal.memories,
            "versions": dict(rehearsal.facts.versions),
        }
        for cell, rehearsal in zip(settings, played, strict=True)
    ]
    first = played[0].facts
    facts = Facts(first.source, builtin=False, declares=first.declares)
    return cells, dict.fromkeys((cell.id for cell in cells), facts), said


def _rehearse(cells: Sequence[Cell], session: Session) -> list[Rehearsal]:
    """Play one message that counts for nothing, so that a broken plug-in is told so at once."""
    # An engine's contract is our adapter's.
    hint = "" if is_engine(cells[0].target) else " 'kvbarrier check' explains the fault."
    rehearsals = [session.rehearse(cell) for cell in cells]
    for rehearsal in rehearsals:
        if rehearsal.failed:
            raise PluginFailure(
                f"{cells[0].target} failed in a rehearsal: {rehearsal.failed}{hint}"
            )
    return rehearsals


def _report(
    target: str,
    outcomes: Sequence[CellOutcome],
    gaps: list[Gap],
    engine: Sequence[dict[str, Any]],
    soft: Mapping[str, tuple[Ledger, dict[str, Any]]],
    declared: Sequence[Declared | None],
) -> Report:
    played = [outcome for outcome in outcomes if outcome.rows]
    verdicts = [judge_cell(outcome.cell, outcome.rows) for outcome in played]
    points = tuple(
        point_of(outcome.cell, outcome.rows, verdict, one)
        | {
            "scale": outcome.cell.instance.build().scale,
            "map": as_map(outcome.cell, outcome.rows),
        }
        | ({"soft": soft[outcome.cell.id][1]} if outcome.cell.id in soft else {})
        for outcome, verdict, one in zip(played, verdicts, declared, strict=True)
    )
    return Report(
        targets=(target,),
        points=points,
        gaps=tuple(gaps),
        verdicts=tuple(verdicts),
        outcomes=tuple(outcomes),
        together=tuple(together_of([outcome.cell for outcome in played], verdicts)),
        engine=_engine(target, outcomes, engine, points),
        soft=tuple(ledger for ledger, _ in soft.values()),
        declared=tuple(declared),
    )


def _engine(
    target: str,
    outcomes: Sequence[CellOutcome],
    said: Sequence[dict[str, Any]],
    points: Sequence[dict[str, Any]],
) -> tuple[dict[str, Any], ...]:
    """What an engine's caches occupy, beside their messages."""
    if not said:
        return ()
    from .engine_report import engine_report, of_arithmetic

    cache = outcomes[0].cell.instance.shape.cache_bits_16
    games = {outcome.cell.params: outcome.cell.instance for outcome in outcomes}
    return tuple(
        one | {"findings": [*one["findings"], *rounded]}
        for one in engine_report(target_name(target), said, points, cache)
        for rounded in [of_arithmetic(target, one["params"], games[tuple(one["params"].items())])]
    )
