"""What was declared of the cells of an attack, and what the attack says of it.

A declaration is known before the first secret is drawn: of the command line, else of the target,
which its player constructs and asks, else of the project (its file's ``expect``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ..compressors.plugin.declaration import Declaration
from ..errors import KVBarrierError
from ..protocols.evidence.declared import Declared
from ..protocols.evidence.declared_memory import Shorter
from ..protocols.game.cell import Cell
from ..protocols.game.declarations import shorter
from ..protocols.game.index_game import Session
from ..protocols.players.isolation import Limits
from .points import declared_of
from .runner import CellOutcome, Facts

if TYPE_CHECKING:
    from ..protocols.check.case import Case


def declaring(
    declaration: Declaration | None, otherwise: Declaration | None, facts: Mapping[str, Facts]
) -> dict[str, Facts]:
    """Facts with the words that hold: those given, else the target's, else ``otherwise``."""
    found = {}
    for id_, fact in facts.items():
        holds = declaration or Declaration.of(fact.declares) or otherwise
        found[id_] = replace(fact, declares=None if holds is None else holds.words())
    return found


def on_shorter_streams(
    cells: Sequence[Cell],
    declarations: Mapping[str, Declaration | None],
    own: Mapping[str, tuple[str, ...] | None],
    session: Session,
) -> dict[str, Shorter | None]:
    """The tokens and the charge of a shorter stream, of every cell that declares memory.

    ``own``: the target's words for each cell. None where it declares other bits for a number of the
    shorter stream: who chooses bits by the budget has no slope, and may hold more of it at once.
    Raises BadInput for a declaration that contradicts its cell's shape.
    """
    found: dict[str, Shorter | None] = {}
    telling = [
        (cell, declaration, fewer)
        for cell in cells
        if (declaration := declarations[cell.id]) is not None
        and declaration.bits_per_number(cell.instance.shape) is not None
        and (fewer := shorter(cell)) is not None
    ]
    with suppress(KVBarrierError):  # of one of them, which says so again below
        session.probe([fewer for *_, fewer in telling])  # in one child, and not in one for each
    for cell, declaration, fewer in telling:
        try:
            weighed = session.weigh(fewer)
        except KVBarrierError:
            # Then there is no slope, and the whole is compared.
            continue
        if weighed is not None:
            facts, charged = weighed
            theirs = Declaration.of(facts.declares) if own[cell.id] else None
            there, shape = theirs or declaration, fewer.instance.shape
            alike = there.bits_per_number(shape) == declaration.bits_per_number(cell.instance.shape)
            less = there.tokens_at_most(shape.tokens), float(charged)
            found[cell.id] = less if alike or theirs is None else None
    return found


def held_against(
    outcomes: Sequence[CellOutcome],
    declarations: Mapping[str, Declaration | None],
    less: Mapping[str, Shorter | None],
) -> list[Declared | None]:
    """Every cell's declaration, held against its messages; None where nothing is declared."""
    return [
        declared_of(one.cell, one.rows, declarations[one.cell.id], less.get(one.cell.id, ()))
        for one in outcomes
    ]


def counterexample(
    outcomes: Sequence[CellOutcome], declared: Sequence[Declared | None], limits: Limits
) -> Case | str | None:
    """The first counterexample, played again in fresh processes; None if no bit refutes.

    A sentence if it does not come again.
    """
    for outcome, one in zip(outcomes, declared, strict=True):
        if one is None or one.refuting is None:
            continue
        from ..protocols.check.cases import find_case

        number, size = one.refuting, outcome.cell.batch_size
        row = outcome.rows[number // size]
        case = find_case(
            outcome.cell,
            row.master_key,
            number,
            one.declaration,
            limits=limits,
            versions=json.loads(row.versions),
        )
        return case or (
            f"message {number} refutes '{one.declaration}', but not when it is played again in "
            "fresh processes: the compressor is not deterministic, or has state outside its "
            "message."
        )
    return None
