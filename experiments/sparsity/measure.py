"""Sparsity does not help (Corollary 16): the hard instance's attention rows are one-hot already.

Three tables. ``one-hot``: the attention weights that the ``exact`` compressor gives Bob's queries,
and Alice's q_t = C k_t as each token comes (stream "self"), read off its float32 answers by sending
the unit vectors as values, beside what S' makes of them; and Gaussian queries of Bob's norm.
``truncation``: each row cut to its largest weight. ``memory``: what top-k attention over a kept
cache needs for error 1/10 on that stream, by ``search``.

A promise of sparsity is about *all* rows. With Alice's q = 0, as in the reduction's own stream, her
rows are uniform and only Bob's are one-hot. The values, and so the secret, Bob's rows and the
bound, do not depend on her queries: with q_t = C k_t all rows are one-hot, and nothing else changes
(ours).

What the margin gives (ours; the paper's Corollary 16 says "one heavy entry"). In Bob's row token i
has the weight p_i = 1 / (1 + S'_i + e^{-C|k_i|^2}), his own token among the denominator's terms. At
a scale where M01 holds, S'_i < 1/rho, so

    p_i > 1 / (1 + 1/rho + e^{-C|k_i|^2}) = rho / (rho + 1 + rho e^{-C|k_i|^2}),                (1)

(1 + eta)/2 up to Bob's own token, and every other weight is below p_i / rho. Alice's row t has the
weight 1 / (1 + the part of S'_t with l < t) > rho / (rho + 1) on token t: no token of Bob's is in
it, and later tokens are not there yet. Conversely if p_i >=
1 - delta with delta < 1/2 then S'_i < delta / (1 - delta), so M01 holds for every eta <= 1 - 2
delta: the heavier the heavy entry that is promised, the *larger* the tolerance at which all n d
bits are still needed. Where a row is cut to its largest weight p_i the output is p_i x_ij, or x_ij
if it is renormalised; the threshold lies in [0, p_i), so the bit is decoded right.

What ``memory`` can tell. A window that holds a share f of the tokens costs f of the cache by its
layout, whatever is measured: that its memory is linear in n would be no finding. The finding is the
share: sparsity would be of use if fewer tokens than 1 - 2/10, the share at which half of the lost
bits are wrong, gave error 1/10. Error 1/10 is measured on B asked bits of which .2 B are coins, to
a deviation of sqrt(.05/B), so the share is found to a step of the search and 5 * 2 sqrt(.05/B), and
to 5 deviations of how many of the rows that are asked lie in the bucket through which the window's
end goes: at most 5/16 * 1/(2 sqrt(B/(16 d))), where rows are sampled at all (:func:`_room`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...protocols.game import coins
from ...protocols.game.cell import Cell
from ...protocols.game.instances import Index
from ...reductions import keys
from ...reductions.index import IndexReduction
from ..kit.run import Run
from ..kit.search import Search, Team, find
from ..kit.tables import Tables, fill, make
from ..scaling.measure import FIXED_D

ONE_HOT, TRUNCATION, MEMORY, PLAYED = (
    f"sparsity-{name}.csv" for name in ("one-hot", "truncation", "memory", "played")
)

KEY = coins.COMMITTED_KEYS["experiments"]
HARD, GAUSSIAN, ALICE = "secret's key", "Gaussian", "Alice's"
RATIOS = (0.5, 1.0)


@dataclass(frozen=True)
class Setting:
    """A key set, at the tight scale of eta."""

    keys: str
    n: int
    d: int
    seed: int = 0
    eta: float = 0.5

    def build(self) -> IndexReduction:
        """The hard instance."""
        made = keys.make(self.keys, self.n, self.d, self.seed)
        return IndexReduction.build(made, self.d, eta=self.eta)

    def columns(self) -> dict[str, Any]:
        """Its columns in a table."""
        return {"keys": self.keys, "n": self.n, "d": self.d, "seed": self.seed, "eta": self.eta}


MEMORY_MESSAGES, ROWS, STEPS = 4, 256, 256
#: rows of Alice's that are asked, evenly spread; what they must be is computed for all of them
MOST_OF_ALICE = 512


@dataclass(frozen=True)
class Grid:
    """The sizes of a scale."""

    n: int
    draws: int  # of jl keys
    messages: int
    axis: tuple[int, ...]


GRIDS = {
    "quick": Grid(512, 4, 8, (128, 512, 2048, 8192, 16384)),
    "full": Grid(4096, 8, 32, tuple(2**k for k in range(7, 17))),
}
D = 64
ETAS = (0.0, 0.5, 0.9)


# fp16 and fp8 rows, so that curves that otherwise coincide lie apart.
CACHES = ((1, "fp16"), (8, "fp8"))


def _team(k: int, dtype: str, n: int) -> Team:
    """Top-k over a window of so many 256ths of n: the memory is found to that accuracy."""
    unit = max(1, n // STEPS)
    return Team(
        "top-k",
        lambda n, d: n // unit,
        lambda step: {"k": k, "window": step * unit, "dtype": dtype},
    )


def run(job: Run) -> None:
    """Fill the three tables; one that is already there is left alone."""
    grid = GRIDS[job.scale]
    job.folder.mkdir(parents=True, exist_ok=True)
    sets = [Setting("jl", grid.n, D, seed) for seed in range(grid.draws)]
    sets.append(Setting("kerdock", grid.n, D))
    shapes = [(replace(s, eta=eta), kind) for s in sets for eta in ETAS
              for kind in (HARD, ALICE, GAUSSIAN)]  # fmt: skip
    tables: Tables = {
        ONE_HOT: [(weight_rows, shape) for shape in shapes],
        TRUNCATION: [(truncation_rows, (s, grid.messages)) for s in sets],
    }
    fill(job, "sparsity", tables)
    make(job, MEMORY, _memory, grid.axis)


@dataclass
class _Search(Search):
    """A search with fewer messages and rows: what is forgotten is public."""

    def cell(self) -> Cell:
        """The cell of the next step."""
        cell = super().cell()
        rows = ROWS if self.n > ROWS else None
        assert isinstance(cell.instance, Index)
        instance = replace(cell.instance, rows=rows, queries="self")
        return replace(cell, instance=instance, batch_size=MEMORY_MESSAGES)


def _memory(job: Run, axis: Sequence[int]) -> list[dict[str, Any]]:
    searches = [_Search(_team(*cache, n), "n", n, FIXED_D) for n in axis for cache in CACHES]
    rows = find(job, PLAYED, searches, MEMORY_MESSAGES)
    # Steps are 256ths of n: what a reader wants is the window that they stand for.
    return [
        {name: value for name, value in row.items() if name != "knob"}
        | search.team.knob(search.high)
        for search, row in zip(searches, rows, strict=True)
    ]


def attention_weights(reduction: IndexReduction, Q: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weights that the ``exact`` compressor gives the data tokens: float32[m, n].

    With the unit vectors as values an output is the row of weights. Bob's token has the value 0.
    """
    from ...compressors.plugin.contract import Shape
    from ...compressors.zoo.baseline.exact import Exact

    rows, n = reduction.keys.rows, reduction.n
    alice = Exact(Shape(n, reduction.d_k, n), dtype="fp32")
    alice.extend(rows, rows, np.eye(n, dtype=np.float32))
    bob = alice.fresh()
    bob.restore(alice.save())
    zeros = np.zeros((len(Q), n), dtype=np.float32)
    return bob.next_outputs(Q, np.zeros_like(Q), zeros)


def rows_of_alice(reduction: IndexReduction, asked: NDArray[np.int64]) -> NDArray[np.float32]:
    """The weights of Alice's own attention rows on the stream "self": float32[len(asked), n].

    Row t is what the ``exact`` compressor answers to q_t = C k_t when token t is the newest.
    ``asked`` int64: which rows, ascending. A token has n values, so all rows take n^3 time.
    """
    from ...compressors.plugin.contract import Shape
    from ...compressors.zoo.baseline.exact import Exact
    from ...reductions.stream_family import StreamFamily

    n = reduction.n
    family = StreamFamily(reduction, queries_of_alice="self")
    Q, K, _ = family.stream(np.zeros((n, reduction.d_v), dtype=np.uint8))
    V = np.eye(n, dtype=np.float32)
    alice, rows, fed = Exact(Shape(n, reduction.d_k, n), dtype="fp32"), [], 0
    for t in asked:
        alice.extend(Q[fed:t], K[fed:t], V[fed:t])
        rows.append(alice.next_outputs(Q[t : t + 1], K[t : t + 1], V[t : t + 1])[0])
        fed = t
    return np.stack(rows)


def queries(reduction: IndexReduction, setting: Setting, kind: str) -> NDArray[np.float32]:
    """Bob's queries C k_i, or n Gaussian directions of the same norms: float32[n, d]."""
    sent = reduction.queries()[0]
    if kind == HARD:
        return sent
    seed = coins.public_seed(KEY, f"sparsity {setting}", 0)
    draw = np.random.Generator(np.random.Philox(seed)).standard_normal(sent.shape)
    draw *= np.linalg.norm(sent, axis=1, keepdims=True) / np.linalg.norm(
        draw, axis=1, keepdims=True
    )
    return draw.astype(np.float32)


def own_weights(reduction: IndexReduction, kind: str) -> NDArray[np.float64]:
    """What the rows' own weights must be, from the float32 keys alone: float64[n].

    1 / (1 + S'_i + e^-a_i) for Bob's, whose own token has score 0; 1 / (1 + S'_t), the sum over
    l < t, for Alice's.
    """
    K = reduction.keys.rows.astype(np.float64)
    scores = reduction.scale * (K @ K.T)
    own = np.diagonal(scores)
    relative = np.exp(scores - own[:, None])
    if kind == ALICE:
        relative = np.tril(relative)
        return np.asarray(1 / relative.sum(axis=1))
    return np.asarray(1 / (relative.sum(axis=1) + np.exp(-own)))


def weight_rows(setting: Setting, kind: str) -> list[dict[str, Any]]:
    """Sorted attention weights over all queries of a kind, one row of the table a rank.

    ``low``, ``median``, ``high`` of the weight at that rank; ``tail_high`` of what lies behind it.
    For Bob's and Alice's rows: ``own_low`` the least own weight; ``excess``, the most by which one
    differs from :func:`own_weights`; ``slack``, the least by which those exceed the right side of
    (1); ``margin``, the least of that; ``own_top``, rows whose own weight leads.
    """
    reduction = setting.build()
    asked = np.arange(setting.n)
    if kind == ALICE and setting.n > MOST_OF_ALICE:
        asked = np.linspace(0, setting.n - 1, MOST_OF_ALICE).astype(np.int64)
    weights = (
        rows_of_alice(reduction, asked)
        if kind == ALICE
        else attention_weights(reduction, queries(reduction, setting, kind))
    )
    facts: dict[str, Any] = dict.fromkeys(("own_low", "margin", "slack", "excess", "own_top"))
    if kind != GAUSSIAN:
        own = weights[np.arange(len(asked)), asked].astype(np.float64)
        expected = own_weights(reduction, kind)
        norms = np.square(reduction.keys.rows, dtype=np.float64).sum(axis=1)
        # No token of Bob's is among Alice's: (1) is rho / (rho + 1) there.
        zero = np.exp(-reduction.scale * norms) if kind == HARD else np.zeros(setting.n)
        rho = (1 + setting.eta) / (1 - setting.eta)
        margin = rho / (rho + 1 + rho * zero)
        facts = {
            "own_low": float(own.min()),
            "margin": float(margin.min()),
            "slack": float((expected - margin).min()),
            "excess": float(np.abs(expected[asked] - own).max()),
            "own_top": int(np.count_nonzero(weights.argmax(axis=1) == asked)),
        }
    ordered = -np.sort(-weights.astype(np.float64), axis=1)
    tail = 1 - np.cumsum(ordered, axis=1)
    ranks = np.unique(np.geomspace(1, reduction.n, 28).round().astype(int))
    return [
        setting.columns()
        | {"queries": len(weights), "kind": kind, "scale": reduction.scale, "rank": int(rank)}
        | {
            "low": float(ordered[:, rank - 1].min()),
            "median": float(np.median(ordered[:, rank - 1])),
            "high": float(ordered[:, rank - 1].max()),
            "tail_high": float(tail[:, rank - 1].max()),
        }
        | facts
        for rank in ranks
    ]


def truncation_rows(setting: Setting, messages: int) -> list[dict[str, Any]]:
    """Decoded bits before and after each row is cut to its largest weight, by scale.

    At ``ratio`` times the tight scale, with that scale's thresholds. ``cut``: the largest weight
    times its value; ``best``: that value alone, the row renormalised. Counted are bits that differ
    from the secret (``wrong``) and from those decoded from the whole row (``changed``).
    """
    tight = setting.build()
    found = []
    for ratio in RATIOS:
        reduction = IndexReduction(
            tight.keys, tight.d_v, tight.values, tight.eta, tight.gamma, ratio * tight.scale
        )
        weights = attention_weights(reduction, reduction.queries()[0])
        top = weights.argmax(axis=1)
        largest = weights[np.arange(len(weights)), top][:, None]
        counts = np.zeros(5, dtype=np.int64)
        for message in range(messages):
            count = setting.n * setting.d
            x = coins.secret_bits(KEY, f"sparsity {setting}", message, count)
            x = x.reshape(setting.n, setting.d)
            values = reduction.encode_values(x)
            before = reduction.decode(weights @ values)
            cut = reduction.decode(largest * values[top])
            best = reduction.decode(values[top])
            pairs = ((before, x), (cut, x), (best, x), (cut, before), (best, before))
            counts += [np.count_nonzero(one != other) for one, other in pairs]
        names = ("wrong", "wrong_cut", "wrong_best", "changed_cut", "changed_best")
        found.append(
            setting.columns()
            | {"ratio": ratio, "scale": reduction.scale, "messages": messages}
            | {"bits": messages * setting.n * setting.d}
            | dict(zip(names, counts.tolist(), strict=True))
        )
    return found
