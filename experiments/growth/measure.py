"""One message of several algorithms at every length: CPU seconds, peak memory, reading it once.

A message is Alice's stream, her message, Bob's answers to 64 sampled rows and the count of wrong
bits, as ``attack`` plays it inline. What is measured is a machine's, so these tables differ from
run to run. Two precautions:

* Seconds are of CPU time and are measured ``REPEATS`` times or more: what else runs on the machine
  can only add to them, so the least is kept, and the median as what noise does. Who shares the
  memory bus slows two of three runs at times: until the median is near the least they go on.
* Peak memory is what Python and NumPy allocate (``tracemalloc``): it depends on no other process
  and hardly on the run.

``read_seconds`` is the least time in which this machine reads the float32 K and V once, a maximum
over an array of their size: no game that looks at every number is faster.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from ...compressors.catalog import CATALOG
from ...compressors.targets import resolve
from ...errors import BudgetTooSmall
from ...protocols.game.cell import Cell
from ...protocols.game.coins import COMMITTED_KEYS
from ...protocols.game.index_game import play_batch
from ...protocols.game.instances import Index
from ..kit.run import Run
from ..kit.tables import Row, Task, fill

TABLE = "growth.csv"
INGEST = "growth-ingest.csv"
#: the two streams that every compressor of the catalog takes in
INGESTED = {"quick": (1 << 11, 1 << 13), "full": (1 << 12, 1 << 14)}
ROWS = 64
REPEATS = 3
#: seconds below which a time is measured more often, and how often then
SHORT, OFTEN = 0.05, 30
#: the median over the least from which on neighbours are felt, and how often it is measured then
CALM, AT_MOST = 1.2, 12
#: the message that is played: 1, because 0 is cut in two
NUMBER = 1
SHORTEST = 1 << 10


@dataclass(frozen=True)
class Setting:
    """An algorithm, its budget, and the longest stream at each scale, as a power of two.

    ``slow``: time for every token grows with what is kept, or is large.
    """

    target: str
    budget: str
    quick: int
    full: int
    slow: bool = False


SETTINGS = (
    Setting("exact", "1", 16, 20),
    Setting("quantized", "1/4", 16, 20),
    Setting("sliding-window", "1/4", 16, 20),
    Setting("turboquant", "1/4", 16, 20),
    Setting("h2o", "1/4", 14, 17, slow=True),
    Setting("subgen", "1/4", 15, 17, slow=True),
    Setting("low-rank", "1/4", 14, 18, slow=True),
    Setting("performer", "1/4", 13, 15, slow=True),
)
DIMENSIONS = (64, 128)
STEP = 2
"""Powers of two between two lengths."""


def run(job: Run) -> None:
    """Fill the tables; what is there already stays."""
    ingests: list[Task] = [(ingest, (name, job.scale)) for name in catalogued()]
    fill(job, "growth", {TABLE: _tasks(job.scale), INGEST: ingests})


def _tasks(scale: str) -> list[Task]:
    tasks: list[Task] = []
    for setting in SETTINGS:
        longest = setting.quick if scale == "quick" else setting.full
        for d in DIMENSIONS if not setting.slow else DIMENSIONS[:1]:
            sizes = lengths(SHORTEST.bit_length() - 1, longest)
            tasks += [(point, (setting, 1 << size, d)) for size in sizes]
    return tasks


def lengths(first: int, last: int) -> Sequence[int]:
    """Powers of two from the first to the last, the last one in any case.

    >>> list(lengths(10, 13))
    [11, 13]
    """
    return range(first + (last - first) % STEP, last + 1, STEP)


def point(setting: Setting, n: int, d: int) -> Row:
    """One row: a message of ``setting`` on n tokens of dimension d."""
    _play(setting, SHORTEST, d)  # what is slow only the first time
    seconds = _times(lambda _: partial(_play, setting, n, d))
    tracemalloc.start()
    try:
        charged = _play(setting, n, d)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return {
        "target": setting.target,
        "budget": setting.budget,
        "d": d,
        "n": n,
        "rows": ROWS,
        "secret_bits": n * d,
        "charged_bits": charged,
        "seconds": min(seconds),
        "seconds_median": float(np.median(seconds)),
        "peak_bytes": peak,
        "cache_bytes": 8 * n * d,
        "read_seconds": _read_seconds(8 * n * d),
    }


def catalogued() -> list[str]:
    """The compressors whose streams are measured: all that answer softmax attention."""
    return [name for name, one in CATALOG.items() if one.attention == "softmax"]


def ingest(name: str, scale: str) -> list[Row]:
    """Two rows: the CPU seconds of taking in a stream and saving, with a fourth of the cache.

    Who does not live in a fourth has what it likes.
    """
    return [_ingested(name, n) for n in INGESTED[scale]]


def _ingested(name: str, n: int, d: int = 64) -> Row:
    instance = Index(n, d, keys="bch")
    hard, shape = instance.build(), instance.shape
    x = np.random.default_rng(0).integers(0, 2, (n, d)).astype(np.uint8)
    make = partial(resolve(name).factory, shape)
    budget: int | None = shape.cache_bits_16 // 4
    try:
        make(budget, 0, hard.public())
    except BudgetTooSmall:
        budget = None

    def take(made: Any, triples: Any) -> None:
        made.extend(*triples)
        made.save()

    def prepare(number: int) -> Callable[[], Any]:
        # In another order each time: what a compressor remembers of equal keys is not measured.
        order = np.random.default_rng(number).permutation(n)
        triples = [part[order] for part in hard.stream(x)]
        return partial(take, make(budget, 0, hard.public()), triples)

    seconds = _times(prepare)
    return {
        "target": name,
        "square": CATALOG[name].square,
        "n": n,
        "d": d,
        "seconds": min(seconds),
        "seconds_median": float(np.median(seconds)),
    }


def _play(setting: Setting, n: int, d: int) -> int:
    """Play one message; return its charge in bits."""
    instance = Index(n, d, keys="bch" if n <= 1 << 21 else "rm2", rows=ROWS)
    cell = Cell(instance, setting.target, (), Fraction(setting.budget), batch_size=1)
    (record,) = play_batch(cell, COMMITTED_KEYS["experiments"], NUMBER, "inline").records
    if record.failed is not None:
        raise AssertionError(record.failed)
    return record.charged_bits


def _times(prepare: Callable[[int], Callable[[], Any]]) -> list[float]:
    """CPU seconds of what is prepared for the first time, the second, and so on."""
    seconds = list[float]()
    while (
        len(seconds) < REPEATS
        or (sum(seconds) < SHORT and len(seconds) < OFTEN)
        or (np.median(seconds) > CALM * min(seconds) and len(seconds) < AT_MOST)
    ):
        seconds.append(_seconds(prepare(len(seconds))))
    return seconds


def _seconds(act: Callable[[], Any]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def _read_seconds(size: int) -> float:
    numbers = np.ones(size // 4, dtype=np.float32)
    # A short one is read often enough for the clock.
    times = max(1, (1 << 24) // size)
    return min(_seconds(lambda: [numbers.max() for _ in range(times)]) for _ in range(5)) / times
