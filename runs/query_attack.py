"""The run behind ``kvbarrier attack TARGET --reduction indistinguishability``, and what it means.

For every setting of a target: the share f of the hideable places that its plans read, its error at
prior 1/2, its error on D_0 and on the place that its plans read least often, and two verdicts.

*The line.* Theorem 19 at prior 1/2: the error of trial t has mean at least (1-f_t)/2, f_t known
from the committed plan before the stream is drawn. The bets of ``evidence.betting`` against that,
one factor a trial, are a test supermartingale, so ``impossible`` (2^40 or more) is a hidden channel
or a bug in kvbarrier; anything else is ``not-excluded``, which is not a good result in itself.

*The guarantee*, success 9/10 on every stream of the family: ``broken`` (the average of three
e-processes, on D_0, on random D_i and on the rarest place, reaches 20), ``not-broken`` (all three
against "the error is above 1/10" do), else ``undecided``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ..compressors.catalog import is_builtin
from ..errors import BadInput
from ..files import replaced
from ..protocols.evidence import evidence
from ..protocols.evidence.power import largest
from ..protocols.evidence.verdicts import LEVEL
from ..protocols.game import coins
from ..protocols.game.query_game import (
    Algorithm,
    QueryInstance,
    Trial,
    Trials,
    errors,
    mean_share,
    play,
)
from ..protocols.players.isolation import Limits, check_isolation, default_isolation
from ..reductions.hiding import error_line, minimax_error

TRIALS = 512
SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class QueryAttack:
    """What to play.

    Attributes:
        target: a name of ``compressors.readers.targets`` or a plug-in.
        instance: the family of streams.
        params: the algorithm's parameters. sweep: several values of some, crossed.
        trials: at prior 1/2; a quarter as many more are played on the rarest place.
        isolation: None means inline for built-ins, else the strictest that this system allows.
        limits: for one trial.
    """

    target: str
    instance: QueryInstance
    params: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    trials: int = TRIALS
    isolation: str | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise BadInput(f"The number of trials must be 1 or more, not {self.trials}.")
        both = sorted(set(self.params) & set(self.sweep))
        if both:
            raise BadInput(f"{both[0]} is given by --param and by --sweep: give it once.")

    def settings(self) -> list[dict[str, Any]]:
        """The parameters of each point; built-ins are swept over shares by default."""
        sweep = dict(self.sweep)
        plain = is_builtin(self.target) and "?" not in self.target
        if plain and not sweep and "share" not in self.params:
            sweep = {"share": SHARES}
        names = list(sweep)
        return [
            {**self.params, **dict(zip(names, values, strict=True))}
            for values in product(*sweep.values())
        ]


@dataclass(frozen=True)
class QueryReport:
    """The points of an attack, and all trials behind them."""

    attack: QueryAttack
    isolation: str
    key: str
    played: tuple[Trials, ...]

    @property
    def points(self) -> list[dict[str, Any]]:
        """One dict a setting: see :func:`point`."""
        return [point(played) for played in self.played]

    def as_dict(self) -> dict[str, Any]:
        """The document of ``--json``."""
        return {
            "schema": 1,
            "target": self.attack.target,
            "reduction": "indistinguishability",
            "isolation": self.isolation,
            "points": self.points,
        }


def play_attack(
    attack: QueryAttack, progress: Callable[[int, int], None] = lambda done, total: None
) -> QueryReport:
    """Play every setting.

    Built-ins get committed keys; a foreign plug-in could have read them, so it gets one from the
    operating system.

    Raises:
        BadInput, PluginFailure: see :mod:`..protocols.query_game`.
    """
    ours = is_builtin(attack.target)
    isolation = attack.isolation or default_isolation(ours)
    check_isolation(isolation)
    key = coins.COMMITTED_KEYS["experiments"] if ours else coins.fresh_key()
    settings = attack.settings()
    worst = math.ceil(attack.trials / 4)
    each = attack.trials + worst
    played = []
    for at, params in enumerate(settings):
        played.append(
            play(
                Algorithm(attack.target, tuple(params.items())),
                attack.instance,
                key,
                attack.trials,
                worst=worst,
                isolation=isolation,
                limits=attack.limits,
                tick=lambda done, at=at: progress(at * each + done, len(settings) * each),  # type: ignore[misc]
            )
        )
    name = "experiments" if ours else key.hex()
    return QueryReport(attack, isolation, name, tuple(played))


def point(played: Trials) -> dict[str, Any]:
    """The result of one setting, as plain data."""
    prior, shares = errors(played.prior), [t.share for t in played.prior]
    f, most = mean_share(played.prior), max(shares)
    instance = played.instance
    return {
        "algorithm": played.facts.name,
        "params": dict(played.algorithm.params),
        "source": played.facts.source,
        "n": instance.n,
        "d": instance.d,
        "eta": instance.eta,
        "family": instance.family,
        "adaptive": played.prior[0].adaptive,
        "trials": len(played.prior),
        "failed": len(played.failed),
        "f": f,
        "f_max": most,
        "cells_planned": float(np.mean([t.reads for t in played.prior])),
        "cells_asked": float(np.mean([t.asked for t in played.prior])),
        "error": estimate(prior),
        "error_plain": estimate(errors(played.on(plain=True))),
        "error_hidden": estimate(errors(played.on(plain=False))),
        "error_rarest": {"place": played.worst_place, **estimate(errors(played.worst))},
        "worst_case": worst_case(played),
        "line": {
            "prior": error_line(f),
            "worst_case": minimax_error(most),
            **line_verdict(prior, shares),
        },
        "guarantee": guarantee(played),
    }


def estimate(wrong: Any, level: float = LEVEL) -> dict[str, Any]:
    """A mean error with its anytime-valid interval over trials."""
    low, high = evidence.interval(wrong, level)
    mean = float(np.mean(wrong)) if len(wrong) else None
    return {"estimate": mean, "low": low, "high": high, "level": level, "trials": len(wrong)}


def worst_case(played: Trials) -> float:
    """The larger of the errors on D_0 and on a D_i, random or the rarest."""
    groups = (played.on(plain=True), played.on(plain=False), played.worst)
    return max((float(errors(g).mean()) for g in groups if g), default=0.0)


def line_verdict(wrong: Any, shares: Sequence[float]) -> dict[str, Any]:
    """The evidence, in bits, that the error is below (1-f)/2, and the verdict.

    ``could_catch``: the largest error at which a reader of these shares would have been impossible
    in as many trials, its errors evenly spread; None: not even one without an error.
    """
    line = np.array([error_line(f) for f in shares])

    def bits(errors: Any) -> float:
        wealth = evidence.log_wealth_below(errors, line)
        return float(np.max(wealth, initial=0.0)) / math.log(2)

    def caught(error: float) -> bool:
        return bits(np.diff(np.floor(error * np.arange(len(line) + 1)))) >= evidence.LINE_BITS

    found = bits(wrong)
    return {
        "verdict": "impossible" if found >= evidence.LINE_BITS else "not-excluded",
        "bits": found,
        "could_catch": {"error": largest(caught, 0.5)},
    }


def guarantee(played: Trials, level: float = LEVEL) -> str:
    """Whether success 9/10 on every stream of the family is broken, not broken, or undecided."""
    groups = [played.on(plain=True), played.on(plain=False), played.worst]
    needed = -math.log(1 - level)
    above = [evidence.log_wealth_above(errors(g), evidence.GUARANTEE) for g in groups if g]
    below = [evidence.log_wealth_below(errors(g), evidence.GUARANTEE) for g in groups if g]
    finals = np.array([w[-1] for w in above])
    if np.logaddexp.reduce(finals) - math.log(len(finals)) >= needed:
        return "broken"
    if min(float(w.max()) for w in below) >= needed:
        return "not-broken"
    return "undecided"


COLUMNS = (
    "algorithm", "params", "source", "instance", "key", "isolation", "draw", "number", "seed",
    "commitment", "hidden", "share", "reads", "asked", "seen", "error", "failed", "adaptive",
)  # fmt: skip


def write_trials(path: Path, report: QueryReport) -> None:
    """Every trial as a row of a CSV file, with the plan's commitment and the drawn place."""
    with replaced(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS)
        writer.writeheader()
        for played in report.played:
            for draw, trials in (("prior", played.prior), ("rarest", played.worst)):
                writer.writerows(_row(report, played, draw, trial) for trial in trials)


def _row(report: QueryReport, played: Trials, draw: str, trial: Trial) -> dict[str, Any]:
    params = "&".join(f"{name}={value}" for name, value in played.algorithm.params)
    return {
        "algorithm": played.facts.name, "params": params, "source": played.facts.source,
        "instance": played.instance.id, "key": report.key, "isolation": report.isolation,
        "draw": draw, **asdict(trial),
    }  # fmt: skip
