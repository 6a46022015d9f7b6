"""The schedule of a message: a part of the instance, drawn from public coins or given as it is.

Token t of a schedule is row t of the secret. Bob is asked for the rows that survive, each once, in
the first sequence that holds it; the others are coins that Alice tosses for herself.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput, did_you_mean
from ...reductions.reduction import Reduction
from ..life.families import FAMILIES, USES, draw
from ..life.oracle import Oracle, check_legal
from ..life.schedule import Schedule
from ..life.verdict import GHOST
from . import coins

_ALONE = ("fork", "copy", "switch")
_LEAST_TOKENS = 16
_LEAST_DIMENSION = 16

Float32 = NDArray[np.float32]


def check_schedule(text: str, n: int) -> None:
    """Refuse what is neither a family nor a schedule that a game of n tokens can play.

    Raises:
        BadInput: the sentence says what to do.
    """
    if text in FAMILIES:
        return
    if not text.startswith("{"):
        raise BadInput(
            f"There is no family of schedules '{text}', and no such file."
            f"{did_you_mean(text, FAMILIES)}"
        )
    if len(text) > coins.LONGEST_SCHEDULE:
        raise BadInput(
            f"The schedule has {len(text)} characters, and a row of results holds "
            f"{coins.LONGEST_SCHEDULE}: give a shorter one."
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


def needs_of(text: str) -> tuple[str, ...]:
    """The optional methods that a compressor must have to play a schedule, or any of a family."""
    return USES[text] if text in FAMILIES else _given(text).needs


def sequences_of(text: str | None) -> int | None:
    """With how many sequences a batch begins; None: there is no batch."""
    if text is None:
        return None
    # A family has a batch or has none, whatever the coins.
    return drawn(text, bytes(32), "", 0, _LEAST_TOKENS).sequences


@lru_cache(maxsize=512)
def drawn(text: str, key: bytes, instance_id: str, message: int, n: int) -> Schedule:
    """The schedule of a message: the one that is given, or one of a family."""
    if text not in FAMILIES:
        return _given(text)
    draws = coins.schedule_draws(key, instance_id, message)
    while True:
        schedule = draw(text, draws, n)
        # Of a message nothing of which survives nothing can be asked.
        if Oracle.after(schedule).survivors:
            return schedule


def survivors_of(schedule: Schedule) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that survive, int64 in order, and for each the first sequence that holds it."""
    (batch,) = Oracle.after(schedule).instances
    first = {token: j for j, row in reversed(list(enumerate(batch))) for token in row}
    rows = sorted(first)
    return np.array(rows, np.int64), np.array([first[token] for token in rows], np.int64)


class Questions:
    """Bob's questions after a schedule: for every survivor, and uncounted for what is gone.

    Attributes:
        triples: what he asks, each of every sequence: [m, d_k] .., in a batch [m, B, d_k] ..
    """

    def __init__(self, reduction: Reduction, schedule: Schedule) -> None:
        self._reduction = reduction
        end = Oracle.after(schedule)
        self._rows, self._of = survivors_of(schedule)
        self._gone = np.setdiff1d(np.arange(end.fed), self._rows)
        triples = reduction.queries(np.concatenate([self._rows, self._gone]))
        self._batch = schedule.sequences is not None
        if self._batch:
            (batch,) = end.instances
            q, k, v = (np.repeat(part[:, None], len(batch), axis=1) for part in triples)
            triples = q, k, v
        self.triples = triples

    def bits(self, outputs: Float32) -> NDArray[np.uint8]:
        """The bits of the survivors, uint8[rows, width], each as its first sequence answers."""
        mine = outputs[: len(self._rows)]
        if self._batch:
            mine = mine[np.arange(len(mine)), self._of]
        said = self._reduction.decode(mine, self._rows)
        return np.asarray(said, np.uint8).reshape(len(self._rows), -1)

    def ghosts(self, outputs: Float32, secret: NDArray[np.uint8]) -> int | None:
        """How many tokens answer that are gone: in some head and sequence every coordinate is near.

        None in fewer than 16 dimensions, where a mixture of other rows is near by chance.
        """
        values = self._reduction.stream(secret)[2]
        if self._reduction.d_v < _LEAST_DIMENSION:
            return None
        mine, rows = outputs[len(self._rows) :], values[self._gone]
        if self._batch:
            rows = rows[:, None]
        distance = np.abs(mine - rows).max(axis=-1) / (values.max() - values.min() or 1)
        near = (distance < GHOST).reshape(len(mine), int(np.prod(distance.shape[1:])))
        return int(near.any(axis=1).sum())


@lru_cache(maxsize=64)
def _given(text: str) -> Schedule:
    return Schedule.of_json(text)
