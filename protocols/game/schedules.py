"""The schedule of a message: a part of the instance, drawn from public coins or given as it is.

Token t of a schedule is row t of the secret. Bob is asked for the rows that survive, each once, in
the first sequence that holds it; the others are coins that Alice tosses for herself.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from ..life.families import FAMILIES, USES, draw
from ..life.oracle import Oracle, check_legal
from ..life.schedule import Schedule
from . import coins
from .instance import Instance

_ALONE = ("fork", "copy", "switch")
_LEAST_TOKENS = 16


def check_schedule(text: str, n: int) -> None:
    """Refuse what is neither a family nor a schedule that a game of n tokens can play.

    Raises:
        BadInput: the sentence says what to do.
    """
    if text in FAMILIES:
        return
    if not text.startswith("{"):
        from ...errors import did_you_mean

        raise BadInput(
            f"There is no family of schedules '{text}', and no such file."
            f"{did_you_mean(text, FAMILIES)}"
        )
    schedule = _given(text)
    end = check_legal(schedule)
    used = [one.name for one in schedule.operations if one.name in _ALONE]
    if used:
        raise BadInput(
            f"The schedule has {used[0]}, and a game charges the state of one instance: use select "
            "for beams, or give the schedule to check."
        )
    if end.fed > n:
        raise BadInput(f"The schedule feeds {end.fed} tokens: take --n {max(end.fed, 16)} or more.")
    if not end.survivors:
        raise BadInput("No token survives the schedule, so nothing can be asked: end by feeding.")


def needs_of(instance: Instance) -> tuple[str, ...]:
    """The optional methods that a compressor must have to play an instance."""
    text = instance.schedule
    if text is None:
        return ()
    return USES[text] if text in FAMILIES else _given(text).needs


def sequences_of(text: str | None) -> int | None:
    """With how many sequences a batch begins; None: there is no batch."""
    if text is None:
        return None
    # A family has a batch or has none, whatever the coins.
    return _drawn(text, bytes(32), "", 0, _LEAST_TOKENS).sequences


def schedule_of(instance: Instance, key: bytes, message: int) -> Schedule | None:
    """The schedule of a message; None where there is none."""
    if instance.schedule is None:
        return None
    return _drawn(instance.schedule, key, instance.id, message, instance.n)


def survivors_of(schedule: Schedule) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that survive, int64 in order, and for each the first sequence that holds it."""
    (batch,) = Oracle.after(schedule).instances
    first = {token: j for j, row in reversed(list(enumerate(batch))) for token in row}
    rows = sorted(first)
    return np.array(rows, np.int64), np.array([first[token] for token in rows], np.int64)


def rows_of(instance: Instance, key: bytes, message: int) -> NDArray[np.int64]:
    """The rows that Bob is asked for: the survivors, or those that public coins draw."""
    schedule = schedule_of(instance, key, message)
    if schedule is not None:
        return survivors_of(schedule)[0]
    return coins.sampled_rows(key, instance.id, message, instance.secret_rows, instance.rows)


@lru_cache(maxsize=64)
def _given(text: str) -> Schedule:
    return Schedule.of_json(text)


@lru_cache(maxsize=512)
def _drawn(text: str, key: bytes, instance_id: str, message: int, n: int) -> Schedule:
    if text not in FAMILIES:
        return _given(text)
    draws = coins.schedule_draws(key, instance_id, message)
    while True:
        schedule = draw(text, draws, n)
        # Of a message nothing of which survives nothing can be asked.
        if Oracle.after(schedule).survivors:
            return schedule
