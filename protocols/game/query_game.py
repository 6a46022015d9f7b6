"""The game of Theorem 19: a plan is committed, a stream is drawn, an algorithm answers from cells.

One trial: public coins; the plan, committed by its SHA-256; the stream, which is D_0 or hides one
place (:mod:`..reductions.indistinguishability`); the answer, right if every coordinate is within
(1 +- eta) of the exact one. A trial is a pure function of (master key, instance id, number) and the
algorithm: interrupted and gone on with equals uninterrupted.

A trial whose algorithm crashes, hangs or answers no float32[d] is an error and is flagged; nothing
is drawn again. An algorithm that asks for a cell outside its plan has no f, so there is nothing to
judge it by: that ends the game with a sentence that names the cell.

*Adaptive algorithms* have no plan. Each trial they first answer on D_0 with the trial's coins, and
the cells of that walk are what is committed: P(coins). On D_0, and on a D_i outside P, they see the
same answers and must walk the same way; the second walk, on the stream that is drawn, is held
against the first question by question. So they are non-adaptive readers with the plan P(coins)
(docs/theory-non-adaptive.md, Proposition AU), and f is that of P. One whose walk is no function of
its coins and of what it saw has no P: that too ends the game, and names the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...compressors.readers.contract import Plan
from ...errors import BadInput, PluginFailure, did_you_mean
from ...reductions.indistinguishability import FAMILIES, Family, acceptable
from ..players.isolation import Limits
from ..players.play import Facts, PlayerFault
from ..players.query_seats import QuerySeat, make_seat, table_of
from ..players.reader import Cells, OutsidePlan
from . import coins
from .instance import digest

Draw = Literal["prior", "plain"] | int
"""Which stream: D_0 or a random D_i with probability 1/2 each; always D_0; always that place."""

_COIN_BITS = 128


@dataclass(frozen=True)
class QueryInstance:
    """A family of streams; secrets derive from its id.

    Attributes:
        n: tokens, the newest and public one among them; n-1 can be hidden. d: dimension.
        eta: relative error allowed.
        family: "token" (the paper's D_i, reconstructed) or "cell" (D_ij, ours).
    """

    n: int
    d: int
    eta: float = 0.5
    family: str = "token"

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            hint = did_you_mean(self.family, FAMILIES)
            raise BadInput(f"There is no family {self.family!r}.{hint}")
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "d", int(self.d))
        object.__setattr__(self, "eta", float(self.eta))
        self.build()

    def spec(self) -> dict[str, Any]:
        """Everything that makes the streams, as plain data."""
        return {
            "reduction": "indistinguishability", "n": self.n, "d": self.d, "eta": self.eta,
            "family": self.family,
        }  # fmt: skip

    @property
    def id(self) -> str:
        """16 hexadecimal digits of the spec."""
        return _id(self)

    def build(self) -> Family:
        """The family, one object for equal instances.

        Raises:
            BadInput: outside the theorem's hypotheses.
        """
        return _built(self)


@lru_cache(maxsize=64)
def _id(instance: QueryInstance) -> str:
    return digest(instance.spec())


@lru_cache(maxsize=64)
def _built(instance: QueryInstance) -> Family:
    return FAMILIES[instance.family](instance.n, instance.d, instance.eta)


@dataclass(frozen=True)
class Trial:
    """What happened in one trial.

    Attributes:
        number, seed, commitment: which trial, its public coins, SHA-256 of its plan.
        hidden: the place that differs from D_0, or None.
        share: f, the part of the hideable places that the plan reads. reads: its cells. The plan of
            an adaptive algorithm is what it reads on D_0 with these coins.
        asked: cells that were handed out; at most ``reads``, but for an adaptive algorithm that saw
            the hidden place.
        seen: whether the hidden place was among those of the plan.
        error: whether the answer was not acceptable.
        failed: None, or why there was no answer; that is an error too.
        adaptive: whether the algorithm has no plan.
    """

    number: int
    seed: int
    commitment: str
    hidden: int | None
    share: float
    reads: int
    asked: int
    seen: bool
    error: bool
    failed: str | None = None
    adaptive: bool = False


def hidden_place(key: bytes, instance: QueryInstance, number: int, draw: Draw) -> int | None:
    """The place that trial ``number`` hides, None for D_0; from the secret coins.

    A place is floor(places r / 2^127) of a 127-bit r: uniform within 2^-127 places.
    """
    if draw == "plain":
        return None
    places = instance.build().places
    if isinstance(draw, int):
        if not 0 <= draw < places:
            raise BadInput(f"there is no place {draw}: give 0 to {places - 1}.")
        return draw
    bits = coins.secret_bits(key, instance.id, number, _COIN_BITS)
    if bits[0] == 0:
        return None
    r = int.from_bytes(np.packbits(bits).tobytes(), "big") & ((1 << (_COIN_BITS - 1)) - 1)
    return (places * r) >> (_COIN_BITS - 1)


def play_trial(
    seat: QuerySeat, instance: QueryInstance, key: bytes, number: int, draw: Draw = "prior"
) -> Trial:
    """One trial.

    Raises:
        PluginFailure: the algorithm asked for a cell outside its plan, or made no plan at all, or
            is adaptive and its walk is no function of its coins and of what it saw.
    """
    seed = coins.public_seed(key, instance.id, number)
    try:
        plan, walk = _committed(seat, instance, seed)
    except PlayerFault as fault:
        # Nothing is drawn yet, so no trial is lost by stopping here.
        raise PluginFailure(f"Trial {number} has no plan: {fault}") from None
    family = instance.build()
    commitment = plan.commitment
    hidden = hidden_place(key, instance, number, draw)
    seen = family.seen(plan.cells[0], plan.cells[1])
    q, K, V = family.stream(hidden)
    cells = Cells(plan if walk is None else Plan.everything(*K.shape), K, V)
    error, failed = True, None
    try:
        error = not acceptable(family, hidden, seat.answer(q, cells))
    except OutsidePlan as finding:
        raise PluginFailure(
            f"In trial {number} answer asked for {_outside(finding, walk)}"
        ) from None
    except PlayerFault as fault:
        failed = str(fault)
    if walk is not None and failed is None:
        _check_walk(number, cells, walk)
    return Trial(
        number, seed, commitment, hidden, float(np.mean(seen)), plan.reads, cells.read().reads,
        hidden is not None and bool(seen[hidden]), error, failed, walk is not None,
    )  # fmt: skip


def _committed(seat: QuerySeat, instance: QueryInstance, seed: int) -> tuple[Plan, Cells | None]:
    """The plan with these coins; of an adaptive algorithm what it reads on D_0, and that walk.

    After it the algorithm is at the seat, built anew, for its answer.
    """
    plan = seat.plan(seed)
    if plan is not None:
        return plan, None
    q, K, V = instance.build().stream(None)
    walk = Cells(Plan.everything(*K.shape), K, V)
    try:
        seat.answer(q, walk)
    except OutsidePlan as finding:
        raise PluginFailure(f"On D_0 answer asked for {_outside(finding, walk)}") from None
    except PlayerFault as fault:
        raise PluginFailure(
            f"On D_0, where an adaptive algorithm is asked first, answer failed: {fault}"
        ) from None
    seat.plan(seed)
    return walk.read(), walk


def _outside(finding: OutsidePlan, walk: Cells | None) -> str:
    if walk is not None:
        return f"{finding}, which does not exist: ask for tokens 0 to n-1, coordinates 0 to d-1."
    return f"{finding}, which is not in its plan: name in plan every cell that answer reads."


def _check_walk(number: int, cells: Cells, walk: Cells) -> None:
    parted = cells.parts_from(walk)
    if parted is not None:
        raise PluginFailure(
            f"In trial {number} answer had the same coins and was told the same as on D_0, and yet "
            f"its reads part at {OutsidePlan(parted)}: take all randomness from reader.seed."
        )


@dataclass(frozen=True)
class Algorithm:
    """What is attacked: a target as on the command line, and its parameters."""

    target: str
    params: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", tuple(sorted(dict(self.params).items())))


@contextmanager
def seated(
    algorithm: Algorithm, instance: QueryInstance, isolation: str, limits: Limits
) -> Iterator[tuple[QuerySeat, Facts]]:
    """The algorithm at its seat, gone in the end.

    Raises:
        BadInput, PluginFailure: it cannot be found, built, or does not plan.
    """
    table = table_of(algorithm.target, dict(algorithm.params), instance.n, instance.d)
    seat = make_seat(isolation, limits)
    try:
        yield seat, seat.sit(table)
    finally:
        seat.leave()


@dataclass
class Trials:
    """The trials of one algorithm: as many of the prior, and as many on one worst place.

    Attributes:
        prior: trials in which D_0 has probability 1/2.
        worst: trials that hide ``worst_place``, the one that other plans read least often.
    """

    instance: QueryInstance
    algorithm: Algorithm
    facts: Facts
    prior: list[Trial] = field(default_factory=list)
    worst: list[Trial] = field(default_factory=list)
    worst_place: int = 0

    def on(self, *, plain: bool) -> list[Trial]:
        """The trials of the prior that drew D_0, or those that drew a D_i."""
        return [trial for trial in self.prior if (trial.hidden is None) == plain]

    @property
    def failed(self) -> list[str]:
        """Why trials failed."""
        return [t.failed for t in [*self.prior, *self.worst] if t.failed is not None]


def play(
    algorithm: Algorithm,
    instance: QueryInstance,
    key: bytes,
    trials: int,
    *,
    worst: int = 0,
    first: int = 0,
    isolation: str = "inline",
    limits: Limits | None = None,
    tick: Callable[[int], None] = lambda done: None,
) -> Trials:
    """Play ``trials`` of the prior and ``worst`` on the place that plans read least often.

    Trials are numbered from ``first`` on; two algorithms meet equal streams in equal trials. The
    place is chosen by the plans of other coins (:func:`rarest_place`), so it is independent of the
    trials that are played on it.
    """
    with seated(algorithm, instance, isolation, limits or Limits()) as (seat, facts):
        played = Trials(instance, algorithm, facts)
        for number in range(first, first + trials):
            played.prior.append(play_trial(seat, instance, key, number))
            tick(len(played.prior))
        if worst:
            played.worst_place = rarest_place(seat, instance, key)
        for number in range(first + trials, first + trials + worst):
            played.worst.append(play_trial(seat, instance, key, number, played.worst_place))
            tick(trials + len(played.worst))
        return played


SCOUTS = 64


def rarest_place(seat: QuerySeat, instance: QueryInstance, key: bytes) -> int:
    """The place that is read by the fewest of 64 plans with coins of their own; of equals the
    first."""
    family = instance.build()
    counts: NDArray[np.int64] = np.zeros(family.places, dtype=np.int64)
    for scout in range(SCOUTS):
        try:
            plan, _ = _committed(
                seat, instance, coins.public_seed(key, instance.id + " scout", scout)
            )
        except PlayerFault as fault:
            raise PluginFailure(f"A plan failed: {fault}") from None
        counts += family.seen(plan.cells[0], plan.cells[1])
    return int(np.argmin(counts))


def errors(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """1 where a trial erred: float64[T]."""
    return np.array([trial.error for trial in trials], dtype=np.float64)


def mean_share(trials: Sequence[Trial]) -> float:
    """The mean of f; 0 without trials."""
    return float(np.mean([trial.share for trial in trials])) if trials else 0.0
