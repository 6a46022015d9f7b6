"""Non-adaptive readers: error against the share of indices that they read, and what it proves.

* ``non-adaptive-patterns.csv``: read patterns on the family D_0, D_i of Appendix H (reconstructed),
  one row a pattern and share; trials at prior 1/2, and on the index that its plans read least.
* ``non-adaptive-game.csv``: for few places, the linear program beside 1/(2-f), and the least error
  of all plans at prior 1/2 beside (1-f)/2.
* ``non-adaptive-time.csv``: reads needed for success 9/10. At each of six shares around there the
  game is played; least squares through the six errors, solved for 1/10, gives the share. Tokens
  (sampling, prior 1/2; minimax, worst case) against n, and cells of the family D_ij (both).
* ``non-adaptive-cells.csv``: readers of single coordinates on both families.
* ``non-adaptive-plans.csv``: plans of equal coins on all streams, and readers that plan too late.
* ``non-adaptive-adaptive.csv``: readers that choose as they read, as the patterns; f is what they
  read on D_0, and ``unseen_walked`` the trials on a D_i outside it that read the same cells.
* ``non-adaptive-states.csv``: the same streams with a state of a few bits, and what is read then.
* ``non-adaptive-caches.csv``: compressors on the same streams, of which the theorem does not speak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...reductions.hiding import (
    error_line,
    game_value,
    least_error,
    minimax_error,
    minimax_program,
    share_needed,
)
from ..kit.run import Run
from ..kit.tables import Tables, fill
from .plans import HONEST, LATE, Modest, honest_row, late_row
from .states import STATES as KEPT
from .states import state_row

PATTERNS, GAME, TIME, CELLS, PLANS, ADAPTIVE, STATES, CACHES = (
    f"non-adaptive-{name}.csv"
    for name in ("patterns", "game", "time", "cells", "plans", "adaptive", "states", "caches")
)

N = {"quick": 257, "full": 1025}
D = 8
TRIALS = {"quick": 400, "full": 4000}
SHARES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
FEW = (0.25, 0.5, 0.75, 1.0)
# At other shares each, so that their points can be told apart.
STRUCTURED = {
    "window": (0.14, 0.34, 0.59),
    "sinks": (0.18, 0.41, 0.66),
    "strided": (0.26, 0.36, 0.54),
    "fixed": (0.22, 0.48, 0.72),
    "random-blocks": (0.28, 0.44, 0.69),
    "big-bird": (0.31, 0.56, 0.81),
}
# What they may look at; at other shares each, as above.
SEARCHES = {
    "greedy": (0.2, 0.58),
    "bisection": (0.3, 0.7),
    "bandit": (0.24, 0.64),
    "learned-order": (0.36, 0.76),
    "early-stopping": (0.42, 0.82),
}
SEARCH_TRIALS = {"quick": 160, "full": 2000}
STATE_SIZES = {"quick": (65, 257, 1025), "full": (65, 257, 1025, 4097)}
STATE_TRIALS = {"quick": 100, "full": 400}
MOST_PLACES = {"quick": 7, "full": 9}

SUCCESS = 0.9
TIME_N = {"quick": (65, 257, 1025, 4097), "full": (65, 257, 1025, 4097, 16385)}
TIME_SHARES = (0.7, 0.74, 0.78, 0.82, 0.86, 0.9)
WORST_SHARES = (0.82, 0.85, 0.88, 0.91, 0.94, 0.97)
TIME_TRIALS = {"quick": 350, "full": 2000}
CELL_SIZES = {
    "quick": ((65, 2), (65, 8), (257, 4)),
    "full": ((65, 2), (65, 16), (257, 8), (1025, 4)),
}
LEVEL = 0.95
Row = dict[str, Any]


# -- the run ----------------------------------------------------------------------------------


def run(job: Run) -> None:
    """Fill the eight tables; one that is there already is left alone."""
    job.folder.mkdir(parents=True, exist_ok=True)
    scale = job.scale
    n, trials = N[scale], TRIALS[scale]
    shares = [("sampling", s) for s in SHARES] + [("minimax", s) for s in SHARES[1::2]]
    shares += [(name, s) for name, several in STRUCTURED.items() for s in several]
    sizes = [("sampling", "token", n_, 1, False) for n_ in TIME_N[scale]]
    sizes += [("minimax", "token", n_, 1, True) for n_ in TIME_N[scale]]
    sizes += [
        ("key-cells", "cell", n_, d, worst)
        for worst in (False, True)
        for n_, d in CELL_SIZES[scale]
    ]
    singles = [("one-coordinate", "token", s, 0) for s in FEW]
    singles += [("key-cells", "cell", s, 0) for s in FEW]
    singles += [("key-cells", "cell", 1.0, 1)]
    tables: Tables = {
        TIME: [(time_row, (*size, TIME_TRIALS[scale])) for size in sizes],
        PATTERNS: [(pattern_row, (name, s, n, trials)) for name, s in shares],
        GAME: [(game_row, (N_, q)) for N_ in range(1, MOST_PLACES[scale] + 1)
               for q in range(N_ + 1)],
        CELLS: [(single_row, (*single, n, trials)) for single in singles],
        PLANS: [*((honest_row, (name,)) for name in HONEST),
                *((late_row, (reader.__name__,)) for reader in (*LATE, Modest))],
        ADAPTIVE: [(pattern_row, (name, s, n, SEARCH_TRIALS[scale]))
                   for name, several in SEARCHES.items() for s in several],
        STATES: [(state_row, (state, n_, D, STATE_TRIALS[scale]))
                 for state in KEPT for n_ in STATE_SIZES[scale]],
        CACHES: [(cache_row, (*cache, n, trials // 2)) for cache in caches(n)],
    }  # fmt: skip
    fill(job, "non-adaptive", tables)


def _played(
    name: str, params: Row, n: int, d: int, family: str, trials: int, worst: int, first: int = 0
) -> Any:
    from ...protocols.game import coins
    from ...protocols.game.query_game import Algorithm, QueryInstance, play

    instance = QueryInstance(n, d, family=family)
    key = coins.COMMITTED_KEYS["experiments"]
    algorithm = Algorithm(name, tuple(params.items()))
    return play(algorithm, instance, key, trials, worst=worst, first=first)


def _counts(trials: Sequence[Any]) -> tuple[int, int]:
    return sum(trial.error for trial in trials), len(trials)


def _summary(played: Any) -> Row:
    """Counts and intervals of one algorithm's trials."""
    from ...protocols.evidence import evidence
    from ...protocols.game.query_game import errors, mean_share

    wrong, number = _counts(played.prior)
    low, high = evidence.interval(errors(played.prior), LEVEL)
    plain_wrong, plain = _counts(played.on(plain=True))
    hidden_wrong, hidden = _counts(played.on(plain=False))
    unseen = [trial for trial in played.on(plain=False) if not trial.seen]
    return {
        "trials": number, "wrong": wrong, "f": mean_share(played.prior),
        "f_max": max(trial.share for trial in played.prior),
        "reads": float(np.mean([trial.reads for trial in played.prior])),
        "asked": float(np.mean([trial.asked for trial in played.prior])),
        "error": wrong / number, "low": low, "high": high, "level": LEVEL,
        "unseen": len(unseen), "unseen_right": sum(not trial.error for trial in unseen),
        "unseen_walked": sum(trial.asked == trial.reads for trial in unseen),
        "plain": plain, "plain_wrong": plain_wrong, "hidden": hidden, "hidden_wrong": hidden_wrong,
    }  # fmt: skip


def pattern_row(name: str, share: float, n: int, trials: int) -> Row:
    """One pattern at one share, on the family of tokens, Appendix H's."""
    played = _played(name, {"share": share}, n, D, "token", trials, trials // 4)
    rarest_wrong, rarest = _counts(played.worst)
    summary = _summary(played)
    return {
        "pattern": name, "share": share, "n": n, "d": D, **summary,
        "rarest_index": played.worst_place, "rarest": rarest, "rarest_wrong": rarest_wrong,
        "line": error_line(summary["f"]), "minimax_line": minimax_error(summary["f_max"]),
    }  # fmt: skip


def game_row(places: int, reads: int) -> Row:
    """The linear program, and all plans tried at prior 1/2, beside the formulas."""
    value, prior = minimax_program(places, reads)
    f = reads / places
    return {
        "places": places, "reads": reads, "value": value, "formula": game_value(f), "prior": prior,
        "prior_formula": minimax_error(f), "least": least_error(places, reads),
        "least_formula": error_line(f),
    }  # fmt: skip


def single_row(name: str, family: str, share: float, coordinates: int, n: int, trials: int) -> Row:
    """A reader of single coordinates."""
    params: Row = {"share": share}
    if name == "key-cells":
        params["coordinates"] = coordinates
    played = _played(name, params, n, D, family, trials, 0)
    return {
        "reader": name, "family": family, "n": n, "d": D, "coordinates": coordinates,
        "places": played.instance.build().places, **_summary(played),
    }  # fmt: skip


def time_row(name: str, family: str, n: int, d: int, worst: bool, trials: int) -> Row:
    """The places that must be read for success 9/10, and its standard error.

    ``worst``: by the larger error of D_0 and a random D_i, else by prior 1/2.
    """
    from ...protocols.game.query_game import QueryInstance

    counts, params = [], {}
    if worst and name == "key-cells":
        params["otherwise"] = QueryInstance(n, d, family=family).build().output(0)
    # Other trials at each share, or the shares' errors would rise and fall together.
    for at, share in enumerate(WORST_SHARES if worst else TIME_SHARES):
        knobs = {"share": share, **params}
        played = _played(name, knobs, n, d, family, trials, 0, first=at * trials)
        counts.append((played.prior[0].share, *_groups(played, worst)))
    places = n - 1 if family == "token" else (n - 1) * d
    crossings = [_crossing(counts, group) for group in range(1, len(counts[0]))]
    # The larger of two estimates is too large on average, by the same at each n: no slope.
    share, error = max(crossings)
    return {
        "reader": name, "family": family, "n": n, "d": d, "places": places, "success": SUCCESS,
        "criterion": "worst case" if worst else "prior 1/2",
        "trials": trials * len(TIME_SHARES), "share": share, "reads": share * places,
        "relative_error": error / share,
        "exact": share_needed(SUCCESS, worst_case=worst),
    }  # fmt: skip


def _groups(played: Any, worst_case: bool) -> list[tuple[int, int]]:
    if not worst_case:
        return [_counts(played.prior)]
    # Uniform sampling treats all indices alike, so a random D_i is as bad as the worst.
    return [_counts(played.on(plain=True)), _counts(played.on(plain=False))]


def _crossing(counts: list[Any], group: int) -> tuple[float, float]:
    """Where the least-squares line through the errors meets 1 - SUCCESS; and the standard error.

    The error at the crossing is a mean of all trials but for the slope's own error, which weighs
    little as the shares lie evenly around: .1 * .9 over the trials, over the slope's square.
    """
    shares = np.array([row[0] for row in counts])
    wrong = np.array([row[group][0] / row[group][1] for row in counts])
    trials = sum(row[group][1] for row in counts)
    slope, start = np.polyfit(shares, wrong, 1)
    at = (1 - SUCCESS - start) / slope
    off = (at - shares.mean()) / shares.std()
    variance = SUCCESS * (1 - SUCCESS) / trials * (1 + off**2)
    return float(at), float(math.sqrt(variance) / abs(slope))


def caches(n: int) -> list[tuple[str, str, Row]]:
    """(name in the figure, class, parameters) of each compressor."""
    found: list[tuple[str, str, Row]] = [
        (f"{name} kept", "pattern", {"pattern": name, "share": share})
        for name in ("sampling", "strided", "big-bird")
        for share in STRUCTURED.get(name, (0.12, 0.38, 0.62))
    ]
    for name, knob, parts in (
        ("sliding-window", "window", (0.1, 0.3, 0.5, 0.75)),
        ("streaming-llm", "window", (0.16, 0.34, 0.58, 0.85)),
        ("reservoir", "size", (0.2, 0.45, 0.68, 1.0)),
    ):
        found += [(name, name, {knob: max(1, round(part * n))}) for part in parts]
    found += [("quantized", "quantized", {"bits": bits}) for bits in (1, 2, 4, 8)]
    return [*found, ("exact", "exact", {"dtype": "fp16"}), ("largest key", "largest", {})]


def cache_row(label: str, cls: str, params: Row, n: int, trials: int) -> Row:
    """One compressor on D_0 and D_i, prior 1/2."""
    from ...compressors.catalog import entry
    from ...compressors.plugin.contract import Compressor
    from ...compressors.zoo.paper.largest_key import LargestKey
    from ...protocols.evidence import evidence
    from ...protocols.game.query_game import QueryInstance
    from .pattern_cache import PatternCache, compressor_trial

    made: dict[str, type[Compressor]] = {"pattern": PatternCache, "largest": LargestKey}
    thing = made.get(cls) or entry(cls).cls
    instance = QueryInstance(n, D)
    played = [compressor_trial(thing, params, instance, number) for number in range(trials)]
    wrong = np.array([error for error, _ in played], dtype=np.float64)
    low, high = evidence.interval(wrong, LEVEL)
    charged = float(np.mean([bits for _, bits in played]))
    return {
        "compressor": label, "params": "&".join(f"{k}={v}" for k, v in params.items()),
        "covered": "not covered by Theorem 19", "n": n, "d": D, "trials": trials,
        "wrong": int(wrong.sum()), "error": float(wrong.mean()), "low": low, "high": high,
        "level": LEVEL, "charged_bits": charged,
        "memory": charged / (16 * 2 * D * (n - 1)), "tokens": charged / (16 * 2 * D),
    }  # fmt: skip
