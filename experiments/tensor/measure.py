"""Tensor attention: Index in two value caches, and what a cache of products can and cannot need.

Three tables. ``tensor-game.csv``: the game at d = 64 with the catalog's two layouts and the
controls. ``tensor-margins.csv``: the exact condition (T) of ``reductions.tensor``, evaluated in
float64 on the worst contexts. ``tensor-layouts.csv``: the size of each layout's message against n,
for genuine products V1 (/) V2 and for n^2 arbitrary value rows over the same pair keys.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from ...protocols.game.cell import Cell
from ...protocols.game.instances import Tensor
from ..kit.direct_play import KEY, build, play, secret, told
from ..kit.played import play_table
from ..kit.run import Run
from ..kit.tables import Tables, fill

PLAYED, MARGINS, LAYOUTS = "tensor-game.csv", "tensor-margins.csv", "tensor-layouts.csv"
D = 64
SIZES = {"quick": (16, 32, 64), "full": (9, 16, 24, 32, 40, 48, 56, 64)}
MESSAGES = {"quick": 32, "full": 256}
# Eight messages suffice for an interval around 1/4 that lies above 1/10.
LAYOUT_MESSAGES = {"quick": 8, "full": 32}
LEVEL = 0.95
ETA = 0.5
FORMATS = ("fp32", "fp16", "bf16", "fp8")
QUERIES = 32

Point = dict[str, Any]


def secret_bits(n: int) -> int:
    """2 (n-1) d."""
    return 2 * (n - 1) * D


def cells(scale: str) -> list[Cell]:
    """What is played: everything at n = d, four caches and half-size messages at every n."""
    found = []
    for n in SIZES[scale]:
        instance = Tensor(n=n, d=D)
        share = Fraction(secret_bits(n), instance.shape.cache_bits_16)
        eighths = range(1, 8) if n == D else (4,)
        found += [Cell(instance, "time-sharing", budget=share * k / 8) for k in eighths]
        found += [Cell(instance, "four-cache", (("dtype", dtype),)) for dtype in FORMATS]
        found.append(Cell(instance, "lossless"))
    whole = Tensor(n=D, d=D)
    found += [
        Cell(whole, "zero"),
        Cell(whole, "two-cache", (("dtype", "fp16"),)),
        *(Cell(whole, "covering-code", (("code", code),)) for code in ("hamming", "golay")),
    ]
    return found


def run(job: Run) -> None:
    """Fill the three tables; what they have already is not done again."""
    job.folder.mkdir(parents=True, exist_ok=True)
    sizes, messages = SIZES[job.scale], LAYOUT_MESSAGES[job.scale]
    layouts = (arbitrary, arbitrary_half, two_cache, four_cache, bits_alone)
    tables: Tables = {
        LAYOUTS: [(layout, (n, messages)) for n in reversed(sizes) for layout in layouts],
        MARGINS: [(margins, (n,)) for n in sizes],
    }
    fill(job, "tensor", tables)
    play_table(job, PLAYED, cells(job.scale), MESSAGES[job.scale])


def margins(n: int) -> dict[str, Any]:
    """The condition (T) at one n: the worst context's moved outputs over the threshold.

    A 0 is decoded in every context iff ``zero`` < 1, a 1 iff ``one`` > 1; ``_below``: at .999 C.
    """
    from ...reductions.attention import attention
    from ...reductions.tensor import TensorReduction
    from ...reductions.tensor_attention import halves, pairs

    tight = TensorReduction.build(n=n, d=D, eta=ETA)
    row: dict[str, Any] = {
        "n": n, "d": D, "eta": ETA, "scale": tight.scale,
        "closed_scale": TensorReduction.build(n=n, d=D, eta=ETA, scale="closed").scale,
        "mu": tight.spectra.coherence, "rows": tight.rows,
    }  # fmt: skip
    for suffix, factor in (("", 1.0), ("_below", 0.999)):
        hard = replace(tight, scale=factor * tight.scale)
        moved: dict[str, list[float]] = {"zero": [], "one": []}
        queries = hard.queries()[0][:, :D]
        cuts = hard.thresholds().astype(np.float64)
        # With Bob's zero token: all pairs, formed once.
        keys = pairs(*(np.vstack([half, np.zeros(D)]) for half in (hard.K1, hard.K2)))
        for at in range(hard.rows):
            for bit, name, worst in ((0, "zero", 1 + ETA), (1, "one", 1 - ETA)):
                values = hard.stream(hard.worst_secret(at, bit))[2]
                # All coordinates of the worst context are alike: one tells.
                one = [np.append(half[:, 0], 0.0)[:, None] for half in halves(values)]
                output = attention(queries[at], keys, pairs(*one))[0]
                moved[name].append(worst * float(output) / float(cuts[at]))
        row |= {f"zero{suffix}": max(moved["zero"]), f"one{suffix}": min(moved["one"])}
    return row


def _layout(n: int, values: str, layout: str, secrets: int, played: Any, apart: float) -> Point:
    from ...protocols.evidence import evidence

    low, high = evidence.interval(played.errors, level=LEVEL)
    return {
        "n": n, "d": D, "values": values, "layout": layout, "secret_bits": secrets,
        "charged_bits": max(played.charged), "messages": len(played.errors),
        "bit_error": float(np.mean(played.errors)), "error_low": low, "error_high": high,
        "level": LEVEL, "answers_apart": apart,
    }  # fmt: skip


def _genuine(n: int, layout: str, target: str, params: dict[str, Any], messages: int) -> Point:
    from ...reductions.tensor import TensorReduction

    hard = TensorReduction.build(n=n, d=D, eta=ETA)
    name = f"tensor n={n}"
    played = play(hard, name, target, messages, params=params)
    return _layout(n, "genuine", layout, secret_bits(n), played, _apart(hard, name, target, params))


def _apart(hard: Any, name: str, target: str, params: dict[str, Any]) -> float:
    """The largest difference from the definition over random queries, in float32."""
    from ...protocols.game import coins
    from ...reductions import tensor_attention

    rng = np.random.Generator(np.random.Philox(coins.public_seed(KEY, name + " queries", 0)))
    Q = np.zeros((QUERIES, hard.d_k), dtype=np.float32)
    Q[:, : hard.d] = 4 * rng.standard_normal((QUERIES, hard.d))
    x = secret(hard, name, 0)
    bob, _ = told(hard, x, partial(build, hard, target, params, None))
    zero = np.zeros((1, hard.d_k), dtype=np.float32)
    K, V = (np.vstack([array, zero]) for array in hard.stream(x)[1:])
    exact = np.stack([tensor_attention.attention(q, K, V) for q in Q])
    answers = bob.next_outputs(Q, np.zeros_like(Q), np.zeros_like(Q))
    return float(np.abs(answers - exact).max())


def two_cache(n: int, messages: int) -> Point:
    """Genuine products, stored as products in fp16 (every number here is exact in fp16)."""
    return _genuine(n, "two-cache", "two-cache", {"dtype": "fp16"}, messages)


def four_cache(n: int, messages: int) -> Point:
    """Genuine products, stored as factors in fp16."""
    return _genuine(n, "four-cache", "four-cache", {"dtype": "fp16"}, messages)


def bits_alone(n: int, messages: int) -> Point:
    """Genuine products, from the bits of the factors and public keys."""
    return _genuine(n, "bits of the factors", "lossless", {}, messages)


def _pair_index(n: int) -> Any:
    """Index over the n^2 pair keys, with a value row of its own for every pair."""
    from ...reductions.index import IndexReduction
    from ...reductions.keys.base import KeySet
    from ...reductions.tensor import key_caches
    from ...reductions.tensor_attention import pairs

    rows = pairs(*key_caches(n, D)).astype(np.float32)
    return IndexReduction.build(KeySet("tensor pairs", D, 0, rows), D, eta=ETA)


def arbitrary(n: int, messages: int) -> Point:
    """N^2 arbitrary value rows in the layout of products, fp16."""
    index = _pair_index(n)
    played = play(index, f"tensor pairs n={n}", "exact", messages, params={"dtype": "fp16"})
    return _layout(n, "arbitrary", "two-cache", n * n * D, played, float("nan"))


def arbitrary_half(n: int, messages: int) -> Point:
    """The same rows, with a message of half their bits."""
    half = n * n * D // 2
    played = play(_pair_index(n), f"tensor pairs n={n}", "time-sharing", messages, budget=half)
    return _layout(n, "arbitrary", "half of the bits", n * n * D, played, float("nan"))
