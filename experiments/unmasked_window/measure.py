"""The unmasked sliding window: the attack on it, Algorithm 1, and the sum that replaces it.

In the paper's window (eq. 20, reconstructed) tokens that are too old keep the weight e^0 = 1. The
game shows that the window itself cannot be compressed (Theorems 17 and 26). What lies outside it
can: by samples (Algorithm 1, Theorems 24 and 25), or by one running sum, which is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ...protocols.game.cell import Cell
from ...protocols.game.instances import SlidingWindow
from ..kit.direct_play import play
from ..kit.played import play_table
from ..kit.run import Run
from ..kit.search import Search, Team, find
from ..kit.tables import Tables, fill, make
from . import ordinary_streams

if TYPE_CHECKING:
    from ...reductions.sliding_window import SlidingWindowReduction

ATTACK = "unmasked-window-attack.csv"
SCALE = "unmasked-window-scale.csv"
MEMORY, PROBES = "unmasked-window-memory.csv", "unmasked-window-played.csv"

ETA = 0.5
MESSAGES = {"quick": 64, "full": 256}
#: n, d and W - 1 of the attack. A window that masks older tokens to weight 0 lacks n - W + 1 in its
#: denominator. With S' = S e^-a <= 1/3 (eta = 1/2) it answers about (S'/2) / (1 + S') where a kept
#: bit is 0. The threshold is sqrt(3 S'/4) / (1 + S' + r), r = (n - W + 2) e^-a: zeros are read as
#: ones as r comes near 8/3. Here r is 1.4 and 1.2; at n = 4096, W = 257 it would be 2.8.
SIZE = {"quick": (1024, 64, 128), "full": (4096, 64, 512)}
CUT = ("running-sum", "sliding-window")
SHARES = tuple(Fraction(k, 8) for k in range(1, 8))
COPIES = {"quick": (1, 16, 256), "full": (1, 16, 256, 4096)}

SCALE_D, SCALE_ROWS, SCALE_MESSAGES = 256, 32, 8
SCALE_N = {"quick": (32, 256, 2048, 16384), "full": tuple(2**k for k in range(5, 17))}
#: "just below" the tight scale, where an error within (1 +- eta) flips a bit
BELOW = 0.999

PROBE_MESSAGES = 8
FIXED_D, ASKED = 32, 512
#: W - 1 at FIXED_N tokens, and n at FIXED_ROWS usable ones
W_AXIS = {"quick": (16, 64, 256, 2048), "full": tuple(2**k for k in range(5, 13))}
N_AXIS = {"quick": (128, 1024, 16384), "full": tuple(2**k for k in range(7, 18))}
FIXED_N = {"quick": 4096, "full": 16384}
FIXED_ROWS = 128
DECADES = 128


def run(job: Run) -> None:
    """Fill what is missing of the tables."""
    scale = job.scale
    job.folder.mkdir(parents=True, exist_ok=True)
    attack(job)
    plans = {
        ordinary_streams.BOOSTED: ordinary_streams.boosted(scale),
        ordinary_streams.UNBIASED: ordinary_streams.unbiased(scale),
        ordinary_streams.SAMPLES: ordinary_streams.samples(scale),
    }
    tables: Tables = {
        **{name: tasks for name, (tasks, _) in plans.items()},
        ordinary_streams.SUM: ordinary_streams.running_sum(scale),
        SCALE: [(scale_at, (n,)) for n in SCALE_N[scale]],
    }
    fill(job, "unmasked-window", tables, {name: rows for name, (_, rows) in plans.items()})
    make(job, MEMORY, memory)


# -- the attack -----------------------------------------------------------------------------------


def cells(scale: str) -> list[Cell]:
    """What is attacked on the window: everything exact, windows cut to a share, samples."""
    n, d, rows = SIZE[scale]
    instance = SlidingWindow(n=n, d=d, window=rows + 1, eta=ETA)
    return [
        Cell(instance, "exact", (("dtype", "fp16"),)),
        Cell(instance, "running-sum"),
        Cell(instance, "lossless"),
        Cell(instance, "zero"),
        *(
            Cell(instance, name, (("window", int(share * rows) + 1),))
            for name in CUT
            for share in SHARES
        ),
        *(Cell(instance, "algorithm-1", (("copies", copies),)) for copies in COPIES[scale]),
    ]


def attack(job: Run) -> None:
    """Play the cells; batches that are there are not played again."""
    play_table(job, ATTACK, cells(job.scale), MESSAGES[job.scale])


# -- scale against n ------------------------------------------------------------------------------


def scale_at(n: int) -> dict[str, Any]:
    """Play ``SCALE_MESSAGES`` messages at the tight scale of n data tokens; measure the margin."""
    from ...reductions.interference import max_deviation
    from ...reductions.sliding_window import SlidingWindowReduction, window_paper_scale

    instance = SlidingWindow(n=n, d=SCALE_D, window=SCALE_ROWS + 1, eta=ETA)
    reduction = instance.build()
    assert isinstance(reduction, SlidingWindowReduction)
    exact = {"dtype": "fp32"}
    played = play(reduction, instance.id, "running-sum", SCALE_MESSAGES, params=exact)
    below = SlidingWindowReduction(reduction.usable, n, ETA, BELOW * reduction.scale)
    return {
        "keys": instance.keys, "n": n, "d": SCALE_D, "window": reduction.window, "eta": ETA,
        "eps": max_deviation(reduction.usable), "tight_scale": reduction.scale,
        "paper_scale": window_paper_scale(reduction.usable, n, ETA),
        "margin": margin(reduction), "margin_below": margin(below),
        "messages": SCALE_MESSAGES, "asked_bits": SCALE_MESSAGES * SCALE_ROWS * SCALE_D,
        "wrong_bits": round(sum(played.errors) * SCALE_ROWS * SCALE_D),
    }  # fmt: skip


def margin(reduction: SlidingWindowReduction) -> float:
    """(1-eta) times the least exact output for a 1, over (1+eta) times the largest for a 0.

    Of the row with the least room, in the worst contexts, by the definition of the rule over the
    whole stream. One threshold decodes the row against every error within (1 +- eta) iff it
    exceeds 1.
    """
    from ...reductions.attention import sliding_window_attention

    row = int(reduction.demands().argmax())
    q, k, v = reduction.queries([row])
    outputs = []
    for bit in (0, 1):
        x = np.full((reduction.rows, reduction.width), 1 - bit, dtype=np.uint8)
        x[row] = bit
        _, K, V = reduction.stream(x)
        K, V = np.vstack([K, k]), np.vstack([V, v])
        output = sliding_window_attention(q[0], K, V, reduction.window, masked=False)
        outputs.append(float(output[0]))
    return (1 - reduction.eta) * outputs[1] / ((1 + reduction.eta) * outputs[0])


# -- memory against W and against n ---------------------------------------------------------------


def _state_beside_the_window(axis: str, rows: int, d: int) -> int:
    # A counter, the sum in float64, and the place in fp16 that Bob's own token takes.
    return 64 + 64 * d + 32 * d


TEAMS = (
    Team("running-sum", lambda rows, d: rows + 1, lambda k: {"window": k},
         _state_beside_the_window),
    Team("time-sharing", lambda rows, d: rows * d // 8, lambda k: {"budget_bytes": k}),
    Team("lossless", lambda rows, d: 1, lambda k: {}),
)  # fmt: skip


@dataclass
class WindowSearch(Search):
    """A search for W - 1 = ``n`` usable tokens in a stream of ``tokens``."""

    tokens: int

    def cell(self) -> Cell:
        """The cell of the next step."""
        asked = ASKED if self.n > ASKED else None
        instance = SlidingWindow(
            self.tokens, self.d, ETA, keys="hypercube", window=self.n + 1, rows=asked
        )
        params = self.team.knob(self.step)
        budget = None
        if "budget_bytes" in params:
            budget = Fraction(8 * params.pop("budget_bytes"), instance.shape.cache_bits_16)
        return Cell(instance, self.team.name, tuple(params.items()), budget, PROBE_MESSAGES)

    def row(self) -> dict[str, Any]:
        """The line of the table; ``rows`` is W - 1."""
        found = super().row()
        for name in ("size", "other"):
            del found[name]
        return found | {"rows": self.n, "n": self.tokens, "d": self.d}


def memory(job: Run) -> list[dict[str, Any]]:
    """A row for every compressor and size: the least memory with error at most 1/10."""
    searches = [
        WindowSearch(team, axis, rows, FIXED_D, n)
        for axis, sizes in (
            ("W", [(rows, FIXED_N[job.scale]) for rows in W_AXIS[job.scale]]),
            ("n", [(FIXED_ROWS, n) for n in N_AXIS[job.scale]]),
        )
        for rows, n in sizes
        for team in TEAMS
    ]
    return find(job, PROBES, searches, PROBE_MESSAGES)
