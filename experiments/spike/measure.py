"""The spike: exact attention over near-orthogonal keys turns into a lookup at a finite scale C.

The real game is played at each scale with the ``exact`` compressor in float32: Alice's stream, a
saved message, a fresh Bob, all n queries. The table keeps the range and the mean of Bob's outputs
over all asked bits of each kind, beside two pairs of bounds. With S' = max_i e^{-C|k_i|^2} S_i(C),

    bit 0:  o_j <= S' / (1 + S' + e^{-C|k|^2}),      bit 1:  o_j >= 1 / (1 + S' + e^{-C|k|^2})

exactly (ours: the worst x is all ones, resp. all zeros, elsewhere), and the paper's delta and Delta
(reconstructed; Theorem 6) from eps, the largest deviation of the Gram matrix from the identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..kit.direct_play import ask, build, secret
from ..kit.run import Run
from ..kit.tables import fill

TABLE = "spike.csv"
MESSAGES = 32


@dataclass(frozen=True)
class Setting:
    """One column of the figure: a key set and the scales at which it is measured."""

    keys: str
    n: int
    d: int
    scales: tuple[float, ...]


def _grid(stop: float, count: int) -> tuple[float, ...]:
    return tuple(float(c) for c in np.linspace(0.0, stop, count))


SETTINGS = {
    "quick": (Setting("jl", 512, 64, _grid(24.0, 33)), Setting("jl", 512, 256, _grid(24.0, 33))),
    "full": (Setting("jl", 2048, 64, _grid(28.0, 57)), Setting("jl", 2048, 512, _grid(28.0, 57))),
}  # fmt: skip


def run(job: Run) -> None:
    """Measure every setting and scale; a table that is already there is left alone."""
    tasks = [
        (measure, (setting, scale))
        for setting in SETTINGS[job.scale]
        for scale in sorted({*setting.scales, _tight(setting)})
    ]
    fill(job, "spike", {TABLE: tasks})


def _tight(setting: Setting) -> float:
    from ...protocols.game.instances import Index

    return Index(n=setting.n, d=setting.d, keys=setting.keys).build().scale


def measure(setting: Setting, scale: float) -> dict[str, Any]:
    """Play ``MESSAGES`` messages at one scale; one row of the table."""
    from ...protocols.evidence import evidence
    from ...protocols.game.instances import Index
    from ...reductions.index import IndexReduction

    anchor = Index(n=setting.n, d=setting.d, keys=setting.keys)
    tight = anchor.build()
    assert isinstance(tight, IndexReduction)
    # Below the tight scale no reduction would be built: that is what is measured here.
    reduction = IndexReduction(tight.keys, tight.d_v, tight.values, tight.eta, tight.gamma, scale)
    player = partial(build, reduction, "exact", {}, None)
    seen: dict[int, list[tuple[float, float, float]]] = {0: [], 1: []}
    wrong = []
    for message in range(MESSAGES):
        x = secret(reduction, anchor.id, message)
        outputs, _ = ask(reduction, x, player)
        for bit, entries in seen.items():
            chosen = outputs[x == bit]
            entries.append((float(chosen.min()), float(chosen.mean()), float(chosen.max())))
        wrong.append(float(np.mean(reduction.decode(outputs) != x)))
    low, high = evidence.interval(wrong, level=0.95)
    row: dict[str, Any] = {
        "keys": setting.keys, "n": setting.n, "d": setting.d, "scale": scale, "messages": MESSAGES,
        "level": 0.95, "bit_error": float(np.mean(wrong)), "error_low": low, "error_high": high,
    }  # fmt: skip
    for bit, entries in seen.items():
        lows, means, highs = zip(*entries, strict=True)
        row |= {
            f"min_{bit}": min(lows),
            f"mean_{bit}": float(np.mean(means)),
            f"max_{bit}": max(highs),
        }
    return row | _bounds(anchor, scale)


def _bounds(anchor: Any, scale: float) -> dict[str, float]:
    from ...errors import BadInput
    from ...reductions import margins, paper
    from ...reductions.interference import coherence, max_deviation, relative_interference

    reduction = anchor.build()
    keys = reduction.keys
    interference = float(relative_interference(keys.rows, scale).max())
    total = 1.0 + interference + float(np.exp(-scale))
    eps = max_deviation(keys)
    try:
        paper_scale = paper.paper_scale(keys.n, 0.5, eps)
    except BadInput:
        paper_scale = float("nan")
    return {
        "exact_bound_0": interference / total,
        "exact_bound_1": 1.0 / total,
        "paper_delta": paper.paper_delta(keys.n, eps, scale),
        "paper_Delta": paper.paper_Delta(keys.n, eps, scale),
        "eps": eps,
        "mu": coherence(keys),
        "tight_scale": reduction.scale,
        "closed_scale": margins.closed_scale(keys.n, coherence(keys), 0.5),
        "paper_scale": paper_scale,
    }
