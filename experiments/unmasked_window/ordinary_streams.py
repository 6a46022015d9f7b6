"""Algorithm 1 and the running sum on ordinary streams: bias, boosting, the law of the error.

Streams have positive values in [1, kappa] and keys and queries with a spread of scores; nothing is
hidden in them. A *run* has its own public coins, and so has every copy in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...protocols.game import coins
from ...reductions.median_of_means import copies_of_plain_mean, copies_per_mean, means_in_median
from ..kit.binomial import clopper_pearson
from ..kit.run import Scale
from ..kit.tables import Row, Task

UNBIASED = "unmasked-window-unbiased.csv"
BOOSTED = "unmasked-window-boosted.csv"
SAMPLES = "unmasked-window-samples.csv"
SUM = "unmasked-window-sum.csv"

TOKENS, WINDOW, D = 2000, 64, 8
LEVEL = 0.99

SPREADS = (0.5, 2.5, 4.0)
BIAS_COPIES = 256
BIAS_RUNS = {"quick": 200, "full": 8000}

#: (eps, delta, kappa)
PROMISES = {
    "quick": ((0.5, 0.1, 2.0), (0.5, 0.05, 2.0), (0.25, 0.1, 2.0), (0.25, 0.05, 2.0),
              (0.5, 0.1, 8.0)),
    "full": tuple((eps, delta, kappa) for eps in (0.5, 0.25, 0.125)
                  for delta in (0.1, 0.01) for kappa in (2.0, 8.0)),
}  # fmt: skip
PROMISE_RUNS = {"quick": 200, "full": 1000}
MEDIAN, PLAIN = "median of means", "plain mean"

GROUPS = 16
LAW_COPIES = tuple(4**k for k in range(7))
LAW_RUNS = {"quick": 8, "full": 256}

SUM_STREAMS = 4
SUM_TOKENS = {"quick": 100_000, "full": 1_000_000}

PIECES = 4

Floats = NDArray[np.float64]
Plan = tuple[list[Task], Callable[[list[Any]], list[Row]]]
"""A table's tasks, and its rows from their results."""


@dataclass(frozen=True)
class Stream:
    """An ordinary stream, its last query, and the window.

    ``kappa``: values are 1 or kappa, kappa with probability 1/(kappa + 1): of all laws on [1,
    kappa] the one with the largest variance beside its squared mean, (kappa-1)^2/(4 kappa).
    ``spread``: standard deviation of the scores, in nats. ``index`` picks the coins.
    """

    kappa: float
    spread: float
    tokens: int = TOKENS
    index: int = 0

    def draw(self) -> tuple[Any, Any, Any]:
        """Q, K, V, float32[tokens, D]."""
        rng = np.random.Generator(np.random.Philox(_seed(f"stream {self}", self.index)))
        Q, K = (rng.standard_normal((self.tokens, D), dtype=np.float32) for _ in "qk")
        Q *= np.float32(self.spread) / np.linalg.norm(Q, axis=1, keepdims=True)
        large = rng.random((self.tokens, D)) < 1 / (self.kappa + 1)
        return Q, K, np.where(large, self.kappa, 1.0).astype(np.float32)


def _seed(what: str, index: int) -> int:
    key = coins.COMMITTED_KEYS["experiments"]
    return coins.public_seed(key, f"unmasked-window {what}", index)


def exact(stream: Stream) -> Floats:
    """The rule's last output, by its definition: float64[D]."""
    from ...reductions.attention import sliding_window_attention

    Q, K, V = stream.draw()
    return sliding_window_attention(Q[-1], K, V, WINDOW, masked=False)


def outputs(stream: Stream, copies: int, means: int, first: int, count: int) -> Floats:
    """Algorithm 1's last output in runs first, .., first + count - 1: float64[count, D]."""
    from ...compressors.plugin.contract import Shape
    from ...compressors.zoo.paper.algorithm_1 import Algorithm1

    triples = stream.draw()
    answers = np.empty((count, D))
    for run in range(count):
        seed = _seed(f"run {stream} {copies} {means}", first + run)
        one = Algorithm1(
            Shape(stream.tokens, D, D), seed=seed, window=WINDOW, copies=copies, means=means,
            dtype="fp32",
        )  # fmt: skip
        one.extend(*triples)
        answers[run] = one.attend(triples[0][-1])
    return answers


def _pieces(stream: Stream, copies: int, means: int, count: int) -> list[Task]:
    """``PIECES`` tasks that are together runs 0, .., count - 1."""
    size = -(-count // PIECES)
    return [
        (outputs, (stream, copies, means, first, min(size, count - first)))
        for first in range(0, count, size)
    ]


def _joined(results: list[Any], parts: int) -> Iterator[Floats]:
    """The answers of each of ``parts`` equally many pieces: float64[runs, D]."""
    each = len(results) // parts
    for part in range(parts):
        yield np.concatenate([np.array(piece) for piece in results[part * each :][:each]])


def unbiased(scale: Scale) -> Plan:
    """Mean answers over independent runs beside the exact ones, a row a stream and coordinate.

    Hoeffding's interval, exact at any sample size: with N independent samples in [1, kappa] the
    mean is off by sqrt(ln(2 m / alpha) / (2 N)) (kappa - 1) or more somewhere among m coordinates
    with probability at most alpha.
    """
    kappa, count = 4.0, BIAS_RUNS[scale]
    streams = [Stream(kappa, spread) for spread in SPREADS]
    samples = count * BIAS_COPIES
    alpha = (1 - LEVEL) / (len(streams) * D)
    half = float((kappa - 1) * np.sqrt(np.log(2 / alpha) / (2 * samples)))

    def rows(results: list[Any]) -> list[Row]:
        found = []
        for stream, answers in zip(streams, _joined(results, len(streams)), strict=True):
            want = exact(stream)
            found += [
                {
                    "spread": stream.spread, "kappa": kappa, "coordinate": j, "exact": want[j],
                    "mean": answers[:, j].mean(), "half_width": half, "level": LEVEL,
                    "runs": count, "samples": samples,
                }
                for j in range(D)
            ]  # fmt: skip
        return found

    tasks = [task for stream in streams for task in _pieces(stream, BIAS_COPIES, 1, count)]
    return tasks, rows


def boosted(scale: Scale) -> Plan:
    """Theorem 25's guarantee, a row a promise: in how many runs some coordinate breaks it."""
    count = PROMISE_RUNS[scale]
    settings: list[tuple[Row, Stream]] = []
    for eps, delta, kappa in PROMISES[scale]:
        t, k = means_in_median(delta, D), copies_per_mean(eps, kappa)
        plain = copies_of_plain_mean(eps, delta, kappa, D)
        for method, copies, means in ((MEDIAN, k, t), (PLAIN, plain, 1)):
            row = {
                "method": method, "eps": eps, "delta": delta, "kappa": kappa, "copies": copies,
                "means": means,
            }  # fmt: skip
            settings.append((row, Stream(kappa, 2.5)))
    alpha = (1 - LEVEL) / len(settings)

    def rows(results: list[Any]) -> list[Row]:
        found = []
        for (row, stream), answers in zip(settings, _joined(results, len(settings)), strict=True):
            want = exact(stream)
            failures = int((np.abs(answers - want) > row["eps"] * want).any(axis=1).sum())
            low, high = clopper_pearson(failures, count, 1 - 2 * alpha).tolist()
            found.append(row | {
                "runs": count, "failures": failures, "level": LEVEL, "low": low, "high": high,
                "numbers": 2 * WINDOW * D + row["copies"] * row["means"] * D,
                "window_numbers": 2 * WINDOW * D, "d": D,
            })  # fmt: skip
        return found

    tasks = [
        task
        for row, stream in settings
        for task in _pieces(stream, row["copies"], row["means"], count)
    ]
    return tasks, rows


def samples(scale: Scale) -> Plan:
    """The relative error of a mean of k samples, a row for every k and group of runs."""
    stream, count = Stream(4.0, 2.5), LAW_RUNS[scale]

    def rows(results: list[Any]) -> list[Row]:
        want, found = exact(stream), []
        for k, answers in zip(LAW_COPIES, _joined(results, len(LAW_COPIES)), strict=True):
            relative = ((answers - want) / want).reshape(GROUPS, count * D)
            found += [
                {"samples": k, "group": group, "runs": count, "rms": np.sqrt(np.mean(part**2))}
                for group, part in enumerate(relative)
            ]
        return found

    tasks = [task for k in LAW_COPIES for task in _pieces(stream, k, 1, GROUPS * count)]
    return tasks, rows


def running_sum(scale: Scale) -> list[Task]:
    """The running sum beside the definition in float64, a row a stream and length."""
    return [(sum_at, (index, SUM_TOKENS[scale])) for index in range(SUM_STREAMS)]


def sum_at(index: int, tokens: int) -> list[dict[str, Any]]:
    """One stream, looked at when it has W/2, W, W + 1 and then 2^k tokens, and at its end."""
    from ...compressors.plugin.contract import Shape
    from ...compressors.zoo.paper.running_sum import RunningSum
    from ...reductions.attention import sliding_window_attention

    Q, K, V = Stream(4.0, 2.5, tokens, index).draw()
    one = RunningSum(Shape(tokens, D, D), window=WINDOW, dtype="fp32")
    looks = [WINDOW // 2, WINDOW, WINDOW + 1]
    looks += [2**k for k in range(7, 30) if 2**k < tokens]
    rows, seen = [], 0
    for t in [*looks, tokens]:
        one.extend(Q[seen:t], K[seen:t], V[seen:t])
        seen = t
        # Through a saved message: what answers is what the message holds.
        bob = one.fresh()
        bob.restore(one.save())
        want = sliding_window_attention(Q[t - 1], K[:t], V[:t], WINDOW, masked=False)
        error = float(np.abs(bob.attend(Q[t - 1]) / want - 1).max())
        held = sum(bob.state[name].size for name in ("k", "v", "summary"))
        rows.append({"stream": index, "tokens": t, "window": WINDOW, "d": D,
                     "relative_error": error, "numbers": held,
                     "message_bits": 8 * len(one.save())})  # fmt: skip
    return rows
