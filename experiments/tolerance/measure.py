"""The implication behind Theorems 6 and 8: an answer within the tolerance gives Bob every bit.

Two ways. The adversary of ``reductions.adversary`` uses up the whole tolerance on the worst
streams, at scales around the exact one, in float64. And compressors of the catalog play the game,
each answer compared with exact attention: their largest relative error stands beside their bit
error.

``paper``: Theorem 6 as it stands, exact answers at the paper's scale. ``worst``: the adversary
around the exact scale. ``rows``: whole rows under it. ``compressors``: the game.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...protocols.game import coins
from ...reductions import adversary, keys, paper
from ...reductions.index import IndexReduction
from ...reductions.interference import max_deviation
from ...reductions.keys import KeySet
from ...reductions.margins import Condition, condition
from ..kit.direct_play import ask, build
from ..kit.run import Run
from ..kit.tables import Row, Tables, fill

Floats = NDArray[np.float64]

PAPER, WORST, ROWS, COMPRESSORS = (
    f"tolerance-{name}.csv" for name in ("paper", "worst", "rows", "compressors")
)

KEY = coins.COMMITTED_KEYS["experiments"]
#: relative steps off the exact scale that count as just below, and the coarse grid around it
STEP = 1e-6
RATIOS = (*(round(0.9 + k / 100, 2) for k in range(11)), 1 - 1e-4, 1 - STEP, 1 + STEP, 1.05, 1.1)
_SHARP = (1 - STEP, 1.0)
LEVEL = 0.95


@dataclass(frozen=True)
class Keys:
    """A public key set by name: what a task carries instead of the rows."""

    name: str
    n: int
    d: int
    seed: int = 0

    def make(self) -> KeySet:
        """The key set."""
        return keys.make(self.name, self.n, self.d, self.seed)

    def columns(self) -> Row:
        """Its columns in a table."""
        return {"keys": self.name, "n": self.n, "d": self.d, "seed": self.seed}


@dataclass(frozen=True)
class Tolerance:
    """An alphabet and a tolerance: exactly one of eta and gamma."""

    values: str
    eta: float | None = None
    gamma: float | None = None

    @property
    def rule(self) -> Condition:
        """The margin condition."""
        return condition(self.values, self.eta, self.gamma)

    def columns(self) -> Row:
        """Its columns in a table."""
        return {"condition": self.rule.name, "tolerance": self.rule.tolerance}


ETAS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
TOLERANCES = (
    *(Tolerance("01", eta=eta) for eta in ETAS),
    *(Tolerance("pm1", eta=eta) for eta in ETAS),
    *(Tolerance("01", gamma=gamma) for gamma in (0.01, 0.1, 0.2, 0.3, 0.4, 0.45)),
    *(Tolerance("pm1", gamma=gamma) for gamma in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9)),
)
ROW_TOLERANCES = (
    Tolerance("01", eta=0.5), Tolerance("pm1", eta=0.5),
    Tolerance("01", gamma=0.1), Tolerance("pm1", gamma=0.1),
)  # fmt: skip
# For signs eta drops out of the scale, so the largest is the hardest test of the implication.
PLAYED = (*(Tolerance("01", eta=eta) for eta in (0.1, 0.5, 0.9)), Tolerance("pm1", eta=0.9))


@dataclass(frozen=True)
class Grid:
    """The sizes of a scale."""

    sizes: tuple[tuple[int, int], ...]  # (n, d) at the paper's scale
    draws: int  # of random keys
    n: int
    messages: int  # at the paper's scale and for rows
    played: int  # messages a compressor


GRIDS = {
    "quick": Grid(((64, 256), (64, 512), (64, 1024), (256, 1024)), 4, 256, 8, 16),
    "full": Grid(((64, 256), (64, 512), (256, 1024), (1024, 2048)), 16, 1024, 32, 64),
}
D = 64


def run(job: Run) -> None:
    """Fill the four tables; one that is already there is left alone."""
    grid = GRIDS[job.scale]
    job.folder.mkdir(parents=True, exist_ok=True)
    kinds = [(name, n, d) for name in ("jl-raw", "jl") for n, d in grid.sizes] * grid.draws
    # Keys of another size with the same seed begin with the same coins: every draw has its own.
    random = [Keys(name, n, d, seed) for seed, (name, n, d) in enumerate(kinds)]
    sets = [Keys("jl", grid.n, D, seed) for seed in range(grid.draws)]
    sets += [Keys("hypercube", grid.n, D), Keys("kerdock", grid.n, D)]
    plays = [(s, sets[0], t, grid.played) for t in PLAYED for s in subjects(grid.n)]
    rows = [(k, t, grid.messages) for k in sets for t in ROW_TOLERANCES]
    plan: Tables = {
        COMPRESSORS: [(compressor_rows, play) for play in plays],
        PAPER: [(paper_rows, (k, grid.messages)) for k in random],
        WORST: [(worst_rows, (k, t)) for k in sets for t in TOLERANCES],
        ROWS: [(row_rows, task) for task in rows],
    }
    fill(job, "tolerance", plan)


def secrets(name: str, message: int, n: int, d: int) -> NDArray[np.uint8]:
    """A committed secret of this experiment: uint8[n, d]."""
    return coins.secret_bits(KEY, f"tolerance {name}", message, n * d).reshape(n, d)


def paper_rows(key_set: Keys, messages: int) -> list[Row]:
    """Theorem 6: exact answers at the paper's scale for these keys' own eps.

    delta + Delta = 1, so Bob cuts at 1/2. Asked are ``messages`` random secrets, all of their bits,
    and the worst stream of every bit.
    """
    public, rule = key_set.make(), condition("01", 0.0, None)
    eps = max_deviation(public)
    scale = paper.paper_scale(public.n, 0.0, eps)
    worst = adversary.worst_outputs(public, scale, rule)
    wrong = 0
    for message in range(messages):
        x = secrets(f"{key_set}", message, public.n, public.d)
        outputs = adversary.exact_outputs(public, scale, x, np.arange(public.n))
        wrong += int(np.count_nonzero((outputs > 0.5) != x))
    row = key_set.columns() | {
        "eps": eps,
        "paper_scale": scale,
        "exact_scale": adversary.exact_scale(public, rule),
        "delta": paper.paper_delta(public.n, eps, scale),
        "Delta": paper.paper_Delta(public.n, eps, scale),
        "worst_0": float(worst[:, 0].max()),
        "worst_1": float(worst[:, 1].min()),
        "wrong_worst": int(np.count_nonzero((worst > 0.5) != np.array([False, True]))),
        "messages": messages,
        "asked": messages * public.n * public.d,
        "wrong": wrong,
    }
    return [row]


@cache
def exact_gaps(key_set: Keys) -> tuple[list[list[float]], list[float]]:
    """<k_l,k_i> - |k_i|^2 for l != i, a list a token, and |k_i|^2: correctly rounded.

    Products of float32 numbers are exact in float64, and ``math.fsum`` adds them exactly.
    """
    rows = key_set.make().rows.astype(np.float64).tolist()
    minus = [[-a * a for a in row] for row in rows]
    gaps = [
        [math.fsum([*map(mul, mine, other), *minus[i]]) for l, other in enumerate(rows) if l != i]
        for i, mine in enumerate(rows)
    ]
    return gaps, [-math.fsum(squares) for squares in minus]


def largest_demand(key_set: Keys, rule: Condition, C: float) -> float:
    """max_i demand_i of ``margins`` (1), in plain Python: no part of what finds the scale.

    exp and the sum of n terms are right to about n 2^-53, relatively.
    """
    gaps, norms = exact_gaps(key_set)
    return max(
        rule.factor * math.fsum(map(math.exp, map(float(C).__mul__, own)))
        + rule.zero_factor * math.exp(-C * norm)
        for own, norm in zip(gaps, norms, strict=True)
    )


def worst_rows(key_set: Keys, tolerance: Tolerance) -> list[Row]:
    """The adversary on both bits of every token, at every ratio to the exact scale.

    ``flips`` of 2 n bits are read wrong. At ``unreadable`` tokens the worst answer for a 0 is not
    below the worst for a 1, so no threshold reads both. ``demand`` at and just below the scale is
    :func:`largest_demand`.
    """
    public, rule = key_set.make(), tolerance.rule
    exact = adversary.exact_scale(public, rule)
    found = []
    for ratio in sorted(RATIOS):
        outputs = adversary.worst_outputs(public, ratio * exact, rule)
        answers = adversary.worst_answers(outputs, [0, 1], rule)
        read = answers > adversary.thresholds(public, ratio * exact, rule)[:, None]
        found.append(
            key_set.columns()
            | tolerance.columns()
            | {
                "exact_scale": exact,
                "ratio": ratio,
                "flips": int(np.count_nonzero(read != np.array([False, True]))),
                "unreadable": int(np.count_nonzero(answers[:, 0] >= answers[:, 1])),
                "bits": 2 * public.n,
                "demand": (
                    largest_demand(key_set, rule, ratio * exact) if ratio in _SHARP else math.nan
                ),
            }
        )
    return found


def row_rows(key_set: Keys, tolerance: Tolerance, messages: int) -> list[Row]:
    """Whole rows, every coordinate moved by the adversary, at the exact scale and just below.

    ``random``: random secrets, all rows asked. ``complement``: for a random row at the worst token
    and at ``messages`` - 1 others, the stream in which every other row is its complement.
    """
    public, rule = key_set.make(), tolerance.rule
    exact = adversary.exact_scale(public, rule)
    demand = adversary.flips(public, exact * (1 - STEP), rule).any(axis=1)
    worst = int(np.argmax(demand))
    spread = (worst + np.arange(messages) * max(1, public.n // messages)) % public.n
    found = []
    for ratio in (1 - STEP, 1.0):
        for context in ("random", "complement"):
            wrong, at_worst, rows_right, rows = 0, 0, 0, 0
            for message in range(messages):
                x = secrets(f"{key_set}", message, public.n, public.d)
                asked = np.arange(public.n)
                if context == "complement":
                    asked = spread[message : message + 1]
                    x = adversary.worst_context(x[asked[0]], int(asked[0]), public.n)
                values = adversary.encode(x, rule)
                outputs = adversary.exact_outputs(public, ratio * exact, values, asked)
                answers = adversary.worst_answers(outputs, x[asked], rule)
                cut = adversary.thresholds(public, ratio * exact, rule, asked)
                errors = (answers > cut[:, None]) != x[asked]
                wrong += int(errors.sum())
                rows_right += int((~errors.any(axis=1)).sum())
                rows += len(asked)
                if context == "complement" and message == 0:
                    at_worst = int(errors.sum())
            found.append(
                key_set.columns()
                | tolerance.columns()
                | {"context": context, "ratio": ratio, "streams": messages, "rows": rows}
                | {"rows_right": rows_right, "wrong": wrong, "wrong_worst_row": at_worst}
            )
    return found


@dataclass(frozen=True)
class Subject:
    """A compressor of the catalog and its parameters."""

    name: str
    params: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """As tables and pictures name it."""
        return " ".join([self.name, *(f"{name}={value}" for name, value in self.params)])


def compressor_rows(
    subject: Subject, key_set: Keys, tolerance: Tolerance, messages: int
) -> list[Row]:
    """Play the game and compare every answer with exact attention in float64.

    ``largest`` and ``upper_decile`` are of |answer - exact| / |exact| over all answers.
    ``wrong_within`` counts wrong bits whose own answer was within eta of the exact one.
    """
    from ...protocols.evidence import evidence

    eta = tolerance.eta
    assert eta is not None
    reduction = IndexReduction.build(
        key_set.make(), key_set.d, values=tolerance.values, eta=eta, gamma=None
    )
    weights = _sent_weights(reduction)
    errors, wrong, wrong_within, charged = [], [], 0, 0
    for message in range(messages):
        x = secrets(f"{key_set} {tolerance.values}", message, key_set.n, key_set.d)
        seed = coins.public_seed(KEY, f"tolerance {key_set}", message)
        player = partial(build, reduction, subject.name, dict(subject.params), None, seed)
        answers, charged = ask(reduction, x, player)
        exact = weights @ reduction.stream(x)[2].astype(np.float64)
        error = np.abs(answers - exact) / np.abs(exact)
        bad = reduction.decode(answers) != x
        errors.append(error)
        wrong.append(float(bad.mean()))
        wrong_within += int(np.count_nonzero(bad & (error <= eta)))
    every = np.stack(errors)
    low, high = evidence.interval(wrong, level=LEVEL)
    row = (
        {"compressor": subject.name, "params": subject.label.removeprefix(subject.name).strip()}
        | key_set.columns()
        | {"values": tolerance.values, "eta": eta, "scale": reduction.scale}
        | {"messages": messages, "answers": every.size, "charged_bits": charged}
        | {"largest": float(every.max()), "upper_decile": float(np.quantile(every, 0.9))}
        | {"within": int(np.count_nonzero(every <= eta)), "wrong_within": wrong_within}
        | {"wrong": round(sum(wrong) * reduction.secret_bits), "bit_error": float(np.mean(wrong))}
        | {"error_low": low, "error_high": high, "level": LEVEL}
    )
    return [row]


def _sent_weights(reduction: IndexReduction) -> Floats:
    """Exact attention weights of the queries as sent, on the data tokens: float64[n, n]."""
    array = reduction.keys.rows.astype(np.float64)
    scores = reduction.queries()[0].astype(np.float64) @ array.T
    # Bob's own token has score 0, so it joins the maximum that is subtracted.
    top = np.maximum(scores.max(axis=1, keepdims=True), 0.0)
    weights = np.exp(scores - top)
    normal: Floats = weights / (weights.sum(axis=1, keepdims=True) + np.exp(-top))
    return normal


def subjects(n: int) -> Iterator[Subject]:
    """Every compressor setting that is played, by what it keeps of n tokens."""
    for dtype in ("fp32", "fp16", "bf16", "fp8"):
        yield Subject("exact", (("dtype", dtype),))
    for axis in ("token", "channel"):
        for bits in (8, 4, 2, 1):
            yield Subject("quantized", (("axis", axis), ("bits", bits)))
    for name, size in (("sliding-window", "window"), ("streaming-llm", "window"),
                       ("reservoir", "size")):  # fmt: skip
        for kept in (n + 1, n - n // 16, n // 2, n // 8):
            yield Subject(name, ((size, kept),))
    for k in (1, 2, 8, 32):
        yield Subject("top-k", (("k", k),))
    yield Subject("lossless")
    yield Subject("zero")
