"""Lazy Gumbel sampling (Appendix E, Algorithm 2): exactness, space for d = 1, error, horizon.

Four measurements, all from committed coins. *Exact*: draws of the lazy sampler against the softmax,
in cells of scores; beside them a control whose top scores are 0.1 nats too high. *Space*: whole
messages of the ``one-dimension`` compressor, a new stream of scalar keys and new coins in each run;
in some runs its draws are compared with the winner over all tokens. *Error*: the mean of m copies
against exact attention, squared, over the disjoint blocks of m copies of a run. *Gap*: Algorithm 2
on what a buffer of the largest keys holds when its capacity floor(sqrt t) grows, and when
floor(sqrt n) is known beforehand.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kit.run import Run
from ..kit.tables import Tables, fill

CELLS, SAMPLES = "gumbel-cells.csv", "gumbel-samples.csv"
SPACE, ERROR, GAP = "gumbel-space.csv", "gumbel-error.csv", "gumbel-gap.csv"

DRAWS = {"quick": 60_000, "full": 600_000}
SPREADS = (0.0, 1.0, 3.0)
EXACT_N = 1024
PLANTED = 0.1
CELLS_AT_MOST = 128

SIZES = (100, 316, 1000, 3162, 10_000, 31_623, 100_000, 316_228, 1_000_000)
SPACE_RUNS = {"quick": 96, "full": 1024}
CHUNK = 16
COMPARED_RUNS = 4
QUERIES = (-3.0, -0.3, 0.0, 0.3, 3.0)

ERROR_N, ERROR_QUERY = 1024, 1.0
COPIES = tuple(2**j for j in range(9))
ERROR_RUNS = {"quick": 192, "full": 2048}

# Between two squares: at t = j^2 the newest token enters the growing buffer whatever its key.
GAP_N, GAP_QUERY, GAP_STREAMS = 10_100, 2.0, 8
GAP_DRAWS = {"quick": 4000, "full": 40_000}
ORDERS = ("decreasing", "random", "increasing")

Row = dict[str, Any]


def run(job: Run) -> None:
    """Fill the tables; one that is already there is left alone."""
    scale = job.scale
    # The largest streams first: the short ones fill what the last of these leave idle.
    streams = [(n, first) for n in SIZES[::-1] for first in range(0, SPACE_RUNS[scale], CHUNK)]
    share = ERROR_RUNS[scale] // 8
    buffers = [(order, at, GAP_DRAWS[scale]) for order in ORDERS for at in range(GAP_STREAMS)]
    tables: Tables = {
        SPACE: [(space_rows, stream) for stream in streams],
        (CELLS, SAMPLES): [(exact_rows, (law, DRAWS[scale])) for law in range(len(SPREADS) + 1)],
        ERROR: [(error_rows, (share * part, share)) for part in range(8)],
        GAP: [(gap_rows, buffer) for buffer in buffers],
    }
    fill(job, "gumbel", tables)


def _coins(what: str, index: int) -> int:
    from ...protocols.game import coins

    return coins.public_seed(coins.COMMITTED_KEYS["experiments"], f"gumbel {what}", index)


def _generator(what: str, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=_coins(what, index)))


def exact_rows(index: int, draws: int) -> tuple[list[Row], list[Row]]:
    """One law of scores, or the control: its cells, and its numbers m."""
    from ...reductions.lazy_gumbel import expected_lazy, lazy_draws, top_set

    control = index == len(SPREADS)
    spread = 1.0 if control else SPREADS[index]
    scores = spread * _generator("scores", int(spread)).standard_normal(EXACT_N)
    k = math.isqrt(EXACT_N)
    top = top_set(scores, k)
    played = scores.copy()
    played[top] += PLANTED * control
    winners, lazies = lazy_draws(played, top, _coins("draws", index), draws)
    name: Row = {"spread": spread, "control": int(control), "n": EXACT_N, "k": k, "draws": draws}
    share = _softmax(scores)
    order = np.argsort(-share, kind="stable")
    expected = draws * share[order]
    observed = np.bincount(winners, minlength=EXACT_N)[order]
    cell = _pool(expected, max(5.0, draws / CELLS_AT_MOST))
    cells = [
        name | {"cell": c, "observed": int(o), "expected": float(e)}
        for c, (o, e) in enumerate(
            zip(np.bincount(cell, observed), np.bincount(cell, expected), strict=True)
        )
    ]
    if control:
        return cells, []
    summary = {"mean": float(lazies.mean()), "sd": float(lazies.std(ddof=1))}
    return cells, [name | summary | {"exact": expected_lazy(scores, top), "bound": EXACT_N / k}]


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum())


def _pool(expected: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Join neighbours into cells that expect at least ``least``; what is left joins the last."""
    cell = np.empty(len(expected), dtype=np.int64)
    current, mass, left = 0, 0.0, float(expected.sum())
    for l, e in enumerate(expected):
        cell[l] = current
        mass += float(e)
        left -= float(e)
        if mass >= least and left >= least:
            current, mass = current + 1, 0.0
    return cell


def space_rows(n: int, first: int) -> list[Row]:
    """Messages of ``CHUNK`` runs at n tokens, and their draws against the winner of all tokens."""
    from ...compressors.plugin.contract import Shape, charged_bits
    from ...compressors.zoo.paper.one_dimension import OneDimension
    from ...compressors.zoo.paper.one_dimension_kernels import gumbels, starts

    rows = []
    for index in range(first, first + CHUNK):
        rng = _generator(f"stream {n}", index)
        K = rng.standard_normal((n, 1), dtype=np.float32)
        V = rng.random((n, 1), dtype=np.float32)
        seed = _coins(f"space {n}", index)
        queries = QUERIES if index < COMPARED_RUNS else ()
        true = []
        if queries:
            G = gumbels(starts(np.uint64(seed), 1)[0], np.arange(n))
            true = [int(np.argmax(q * K[:, 0].astype(np.float64) + G)) for q in queries]
        for keep in ("top", "frontier"):
            alice = OneDimension(Shape(n, 1, 1), seed=seed, keep=keep)
            alice.extend(K, K, V)
            message = alice.save()
            bob = alice.fresh()
            bob.restore(message)
            drawn = [int(bob.winners(q)[0]) for q in queries]
            rows.append({
                "keep": keep, "n": n, "run": index, "tokens": len(bob.index),
                "charged_bits": charged_bits(len(message), alice.message_bytes), "fixed_bits": 64,
                "compared": len(queries),
                "mismatches": sum(a != b for a, b in zip(drawn, true, strict=True)),
            })  # fmt: skip
    return rows


def error_rows(first: int, runs: int) -> list[Row]:
    """Squared errors of means of m copies over Var(v), for every m, averaged over the blocks."""
    from ...compressors.plugin.contract import Shape
    from ...compressors.zoo.paper.one_dimension import OneDimension

    rows = []
    for index in range(first, first + runs):
        rng = _generator("error stream", index)
        K = rng.standard_normal((ERROR_N, 1), dtype=np.float32)
        V = rng.random((ERROR_N, 1), dtype=np.float32)
        one = OneDimension(Shape(ERROR_N, 1, 1), seed=_coins("error", index), copies=COPIES[-1])
        one.extend(K, K, V)
        values = V[:, 0].astype(np.float64)
        drawn = values[one.winners(ERROR_QUERY)]
        share = _softmax(ERROR_QUERY * K[:, 0].astype(np.float64))
        mean = float(share @ values)
        variance = float(share @ (values - mean) ** 2)
        rows += [
            {"run": index, "n": ERROR_N, "copies": m, "blocks": len(drawn) // m,
             "squared_error": float(((drawn.reshape(-1, m).mean(axis=1) - mean) ** 2).mean())
             / variance}
            for m in COPIES
        ]  # fmt: skip
    return rows


def gap_rows(order: str, index: int, draws: int) -> list[Row]:
    """Algorithm 2 on both buffers of one stream: what they hold, and how often it draws the top."""
    from ...reductions.lazy_gumbel import buffer_of, lazy_draws, top_set

    keys = _generator("gap stream", index).standard_normal(GAP_N)
    if order != "random":
        keys = np.sort(keys)[:: -1 if order == "decreasing" else 1]
    k = math.isqrt(GAP_N)
    true_top = top_set(keys, k)
    mass = float(_softmax(GAP_QUERY * keys)[true_top].sum())
    rows = []
    for buffer in ("growing", "horizon"):
        held = buffer_of(keys.tolist(), math.isqrt if buffer == "growing" else lambda t: k)
        seed = _coins(f"gap {order} {buffer}", index)
        winners, _ = lazy_draws(GAP_QUERY * keys, held, seed, draws)
        rows.append({
            "order": order, "stream": index, "buffer": buffer, "n": GAP_N, "k": k, "draws": draws,
            "overlap": len(np.intersect1d(held, true_top)) / k,
            "answers": int(np.isin(winners, true_top).sum()), "exact": mass,
        })  # fmt: skip
    return rows
