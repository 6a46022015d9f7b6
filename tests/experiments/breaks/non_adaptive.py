"""Breaks of the non-adaptive claims."""

from breaks.tables import Break, column, frame
from kvbarrier.experiments.non_adaptive_claims import CACHES, CELLS, GAME, PATTERNS, TIME


def where(table: str, column_: str, names: tuple[str, ...], target: str, change) -> Break:
    """Change ``target`` in the rows whose ``column_`` is one of ``names``."""

    def broken(rows):
        chosen = rows[column_].isin(names)
        return rows.assign(**{target: rows[target].where(~chosen, change(rows[target]))})

    return frame(table, broken)


BREAKS: dict[str, Break] = {
    "nonadaptive.line": where(PATTERNS, "pattern", ("sampling",), "wrong", lambda c: c // 2),
    "nonadaptive.minimax": column(GAME, "value", lambda c: c + 1e-6),
    "nonadaptive.time": column(TIME, "reads", lambda c: c**1.04),
    "nonadaptive.patterns": where(PATTERNS, "pattern", ("window",), "wrong", lambda c: c // 2),
    "nonadaptive.coordinate": where(CELLS, "reader", ("one-coordinate",), "wrong", lambda c: c + 1),
    "nonadaptive.cells": where(TIME, "family", ("cell",), "reads", lambda c: c * 0.85),
    "nonadaptive.caches": column(CACHES, "wrong", lambda c: c + 1),
}
