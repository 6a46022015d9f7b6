"""Breaks of the non-adaptive claims."""

from breaks.tables import Break, column, frame
from kvbarrier.experiments.non_adaptive.measure import (
    ADAPTIVE,
    CACHES,
    CELLS,
    GAME,
    PATTERNS,
    PLANS,
    STATES,
    TIME,
)


def where(table: str, column_: str, names: tuple[str, ...], target: str, change) -> Break:
    """Change ``target`` in the rows whose ``column_`` is one of ``names``."""

    def broken(rows):
        chosen = rows[column_].isin(names)
        return rows.assign(**{target: rows[target].where(~chosen, change(rows[target]))})

    return frame(table, broken)


BREAKS: dict[str, Break] = {
    "nonadaptive.line": where(PATTERNS, "pattern", ("sampling",), "wrong", lambda c: c // 2),
    "nonadaptive.minimax": column(GAME, "value", lambda c: c + 1e-6),
    # At one n an eighth less than the share is enough.
    "nonadaptive.time": where(TIME, "n", (4097,), "share", lambda c: 0.88 * c),
    # A leak in 3 of thousands of trials, which no interval would notice.
    "nonadaptive.patterns": where(
        PATTERNS, "pattern", ("strided",), "unseen_right", lambda c: c + 1
    ),
    "nonadaptive.coordinate": where(CELLS, "reader", ("one-coordinate",), "wrong", lambda c: c + 1),
    "nonadaptive.cells": where(TIME, "criterion", ("worst case",), "share", lambda c: c * 0.9),
    # What the game let pass as long as the cells were behind the author's own array.
    "nonadaptive.plan": where(PLANS, "reader", ("Widener",), "refused", lambda c: 0 * c),
    # One trial in which a reader went another way than on D_0, and so had a chance.
    "nonadaptive.adaptive": where(
        ADAPTIVE, "pattern", ("bandit",), "unseen_walked", lambda c: c - 1
    ),
    "nonadaptive.state": where(STATES, "state", ("address",), "reads", lambda c: c + 1),
    "nonadaptive.caches": column(CACHES, "wrong", lambda c: c + 1),
}
