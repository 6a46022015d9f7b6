"""The zoo on the leaderboard: every softmax compressor at every budget that it can meet.

Six families of streams on one ledger, at n = 1024 and d = 64 (at full scale n = 4096, of which 512
rows are asked): the Index game's own (*hard*), the same with keys and values turned by public
rotations (*turned*), with Alice's queries attending to everything but one age bucket (*decoy*), and
the three planted ones, in which the structure is there that methods rely on. On the hard one all
evictions lie on (1 - f)/2, f the share of the tokens that is held; the planted ones show what each
policy buys, and on what.

``leaderboard.csv`` has the played batches, ``leaderboard-held.csv`` how many data tokens the caches
that hold whole tokens have when Bob's has come, ``leaderboard-gaps.csv`` the budgets in which a
compressor cannot live, each with the smallest one that works, ``leaderboard-twins.csv`` the pairs
that coincide on a random stream, in what they hold or in what they answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from ...compressors.catalog import CATALOG, family
from ...compressors.catalog_entry import CatalogEntry
from ...compressors.kit.softmax_cache import SoftmaxCache
from ...compressors.plugin.lifting import WholeToken
from ...compressors.targets import resolve
from ...compressors.zoo.eviction.kept_heads import KeptHeads
from ...errors import BudgetTooSmall
from ...protocols.game.cell import Cell
from ...protocols.game.instance import Instance
from ...protocols.game.instances import Index, instance_of
from ...runs.points import points_of
from ...runs.ranking import Point, recovered
from ...runs.rows import BatchRow
from ...runs.stopping import batch_size_for
from ..kit.played import Played, play_table
from ..kit.run import Run
from ..kit.tables import Row, Tables, fill
from .twins import twins

TABLE, HELD, GAPS = "leaderboard.csv", "leaderboard-held.csv", "leaderboard-gaps.csv"
TWINS = "leaderboard-twins.csv"
SIZE = {"quick": (1024, 64), "full": (4096, 64)}
#: messages a point; the planted streams are cheap, and turned and decoy are there to be compared
MESSAGES = {
    "quick": {"hard": 24, "turned": 8, "decoy": 8},
    "full": {"hard": 32, "turned": 16, "decoy": 16},
}
PLANTED_MESSAGES = 16
#: on the hard stream, where a message may be shorter than the secret: only there can a cheat be
#: told from an honest one, and with 64 messages an interval without an error ends at .059
SHORT_MESSAGES = 64
#: the most rows asked of a message: to ask all of 4096 takes hours, and an interval counts
#: messages. The controls are asked for all: they are quick, and they tell whether a cheat of short
#: messages is seen.
ASKED = {"quick": 1024, "full": 512}
BUDGETS = tuple(Fraction(1, 2**k) for k in range(7, -1, -1))
#: the budgets of the other streams; the figure compares at the largest below 1/2
FEWER = (Fraction(1, 16), Fraction(1, 8), Fraction(1, 4), Fraction(1, 2))
AT = Fraction(1, 4)
STREAMS = ("hard", "turned", "decoy", "heavy-hitters", "clusters", "recency")
WHOLE_TOKENS = ("eviction", "pattern")


def entries() -> list[CatalogEntry]:
    """Who is on the leaderboard: who answers softmax attention, and no control but the codes."""
    return [
        one
        for one in CATALOG.values()
        if one.attention == "softmax" or (one.control and one.name != "zero")
    ]


def stream(name: str, n: int, d: int) -> Instance:
    """The instance of one of ``STREAMS``."""
    if name == "turned":
        return Index(n=n, d=d, basis="rotated")
    if name == "decoy":
        return Index(n=n, d=d, queries="decoy")
    return instance_of({"n": n, "d": d, "reduction": "index" if name == "hard" else name})


def stream_of(point: Point) -> str:
    """Which of ``STREAMS`` a point was played on."""
    if point["basis"] == "rotated":
        return "turned"
    if point["queries"] == "decoy":
        return "decoy"
    return "hard" if point["reduction"] == "index" else str(point["reduction"])


def wanted(scale: str) -> list[Cell]:
    """Every point, whether its compressor can live there or not."""
    n, d = SIZE[scale]
    cells = []
    for one in entries():
        for name in STREAMS:
            instance = stream(name, n, d)
            if one.own_size and instance.reduction == "index":
                instance = replace(instance, **one.own_size)
            if one.own_size and instance.reduction != "index":
                continue
            if not one.control and instance.secret_rows > ASKED[scale]:
                instance = replace(instance, rows=ASKED[scale])
            if one.control:
                cells += [Cell(instance, one.name, budget=b) for b in _shares(one)]
            elif one.settings:
                cells += [Cell(instance, one.name, tuple(s.items())) for s in one.settings]
            else:
                budgets = BUDGETS if name == "hard" else FEWER
                cells += [Cell(instance, one.name, budget=budget) for budget in budgets]
    return [replace(cell, batch_size=batch_size_for(messages(cell, scale))) for cell in cells]


def messages(cell: Cell, scale: str) -> int:
    """How many messages a point has."""
    instance, bits = cell.instance, cell.budget_bits
    name, secret = stream_of(_variant(instance)), instance.secret_rows * instance.row_bits
    short = CATALOG[cell.target].control or (bits is not None and bits < secret)
    if name == "hard" and short:
        return SHORT_MESSAGES
    return MESSAGES[scale].get(name, PLANTED_MESSAGES)


def _shares(one: CatalogEntry) -> Sequence[Fraction | None]:
    """Controls live at one memory, but for time sharing, whose knob is the budget."""
    if one.name != "time-sharing":
        return (None,)
    return [Fraction(k, 8 * 32) for k in range(1, 8)]


@cache
def living(scale: str) -> tuple[tuple[Cell, ...], tuple[Row, ...]]:
    """The points that can be played, and the gaps."""
    cells, gaps = [], []
    for cell in wanted(scale):
        try:
            _build(cell)
        except BudgetTooSmall as error:
            least = Fraction(error.minimum_bits, cell.instance.shape.cache_bits_16)
            gaps.append({
                "compressor": cell.target,
                "stream": stream_of(_variant(cell.instance)),
                "budget": str(cell.budget),
                "minimum_bits": error.minimum_bits,
                "minimum_budget": float(least),
                "sentence": str(error),
            })  # fmt: skip
            continue
        cells.append(cell)
    return tuple(cells), tuple(gaps)


def _variant(instance: Instance) -> Point:
    return {name: getattr(instance, name) for name in ("basis", "queries", "reduction")}


def _build(cell: Cell) -> Any:
    instance = cell.instance
    public = instance.build().public()
    return resolve(cell.target).factory(
        instance.shape, cell.budget_bits, 0, public, **dict(cell.params)
    )


def run(job: Run) -> None:
    """Play every cell; batches that the table has already are not played again."""
    job.folder.mkdir(parents=True, exist_ok=True)
    cells, gaps = living(job.scale)
    by_messages: dict[int, list[Cell]] = {}
    for cell in cells:
        by_messages.setdefault(messages(cell, job.scale), []).append(cell)
    for count, part in by_messages.items():
        play_table(job, TABLE, part, count)
    hard = [cell for cell in cells if stream_of(_variant(cell.instance)) == "hard"]
    tasks = [(held, (cell,)) for cell in hard if family(cell.target) in WHOLE_TOKENS]
    one_headed = tuple(one for one in entries() if not (one.own_size or one.control))
    tables: Tables = {
        HELD: tasks,
        GAPS: [(_given, (list(gaps),))],
        TWINS: [(twins, (one_headed,))],
    }
    fill(job, "leaderboard", tables)


def _given(rows: list[Row]) -> list[Row]:
    return rows


def held(cell: Cell) -> list[Row]:
    """How many data tokens a cache of whole tokens holds once Bob's has come: no row if it is none.

    The mean over its heads.

    Counted in the cache itself, on one public stream: Bob's token is the one whose key is zero.
    """
    reduction = cell.instance.build()
    one = _build(cell)
    inner = one.inner if isinstance(one, WholeToken) else one
    if not isinstance(inner, SoftmaxCache | KeptHeads):
        return []
    x = np.random.default_rng(0).integers(0, 2, (reduction.rows, reduction.width)).astype(np.uint8)
    one.extend(*reduction.stream(x))
    if isinstance(inner, KeptHeads):
        tokens = inner.tokens_held()
    else:
        one.extend(*(part[:1] for part in reduction.queries([0])))
        keys, _ = inner.kept()
        tokens = float(np.count_nonzero(np.abs(keys).max(axis=1) > 0))
    return [{"cell": cell.id, "compressor": cell.target, "held": tokens, "n": cell.instance.n}]


def points(rows: list[BatchRow]) -> list[Point]:
    """The played rows as points, each with its stream, its family and what is recovered."""
    return [
        point
        | {
            "stream": stream_of(point),
            "family": family(str(point["compressor"])),
            "recovered": recovered(point),
        }
        for point in points_of(rows)
    ]


ROWS, POINTS = Played(TABLE, list), Played(TABLE, points)
