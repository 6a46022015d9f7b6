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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...protocols.game.cell import Cell
from ...protocols.game.instances import Index
from ..kit.experiment import Claim, Experiment, Judgement, Run, judge
from ..kit.search import GUARANTEE, Search, Team, find
from ..kit.tables import Tables, fill, make, read_table
from ..scaling.measure import FIXED_D
from .tables import ALICE, GAUSSIAN, HARD, Setting, truncation_rows, weight_rows

if TYPE_CHECKING:
    import pandas as pd

ONE_HOT, TRUNCATION, MEMORY, PLAYED = (
    f"sparsity-{name}.csv" for name in ("one-hot", "truncation", "memory", "played")
)
# Float32 scores err by about C (d + 2) 2^-24 <= 8e-5 at C = 20, weights by as much relatively.
ROUNDING = 1e-4
MEMORY_MESSAGES, ROWS, STEPS = 4, 256, 256


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


# -- claims ------------------------------------------------------------------------------------


def _one_hot(folder: Path) -> Judgement:
    table = read_table(folder, ONE_HOT)
    first = table[table["rank"] == 1]
    hot, gauss = first[first["kind"] != GAUSSIAN], first[first["kind"] == GAUSSIAN]
    off = float(hot["excess"].max())
    above = bool((hot["slack"] > 0).all())
    own = bool((hot["own_top"] == hot["queries"]).all())
    least = hot.groupby(["eta", "kind"])["own_low"].min()
    parts = [
        f"{least[eta, HARD]:.4f} in Bob's rows and {least[eta, ALICE]:.4f} in Alice's at eta = "
        f"{eta:g} (median largest weight of Gaussian queries {rows['median'].max():.3f})"
        for eta, rows in gauss.groupby("eta")
    ]
    return judge(
        off <= ROUNDING and above and own and set(hot["kind"]) == {HARD, ALICE},
        f"{int(hot['queries'].sum()):,} rows, Alice's and Bob's, {hot['seed'].nunique()} "
        f"independent jl draws and kerdock; least own weight {', '.join(parts)}; off what S' makes "
        f"of it by {off:.0e} at most (float32 rounding allowed: {ROUNDING:g})",
    )


def _promise(folder: Path) -> Judgement:
    table = read_table(folder, TRUNCATION)
    tight, half = table[table["ratio"] >= 1.0], table[table["ratio"] < 1.0]
    changed = int(tight[["changed_cut", "changed_best"]].to_numpy().sum())
    wrong = int(tight[["wrong", "wrong_cut", "wrong_best"]].to_numpy().sum())
    shares = [half[name].sum() / half["bits"].sum() for name in ("wrong", "wrong_best")]
    return judge(
        changed == 0 and wrong == 0,
        f"{changed} changed and {wrong} wrong of {int(tight['bits'].sum()):,} bits of "
        f"{int(tight['messages'].sum())} independent messages, renormalised or not; at half the "
        f"scale whole rows err in {shares[0]:.0%} of the bits and the largest entries alone in "
        f"{shares[1]:.0%}",
    )


def _room(table: pd.DataFrame) -> pd.Series:
    """How far the share of tokens found may lie from .8 by the step and by chance, by line."""
    rows = table["size"].clip(upper=ROWS) * table["messages"]
    coins = 10 * np.sqrt(0.05 / (rows * table["other"]))
    end = 5 / 16 / (2 * np.sqrt(rows / 16)) * (table["size"] > ROWS)
    return 1 / table["size"].clip(upper=STEPS) + coins + end


def _share(folder: Path) -> Judgement:
    table = read_table(folder, MEMORY)
    share, room = table["window"] / table["size"], _room(table)
    kept = 1 - 2 * GUARANTEE
    limit = table["size"] * table["other"] * table["floor_per_secret_bit"]
    nearest = float((table["charged_bits"] / limit).min())
    return judge(
        bool(((share - kept).abs() <= room).all()) and nearest >= 1.0,
        f"{len(table)} lines, n = {table['size'].min()} to {table['size'].max()}: the least share "
        f"of tokens is {share.min():.4f} to {share.max():.4f}, from {kept:g} by at most "
        f"{float(((share - kept).abs() / room).max()):.2f} of what the search's step and chance "
        f"allow ({room.min():.3f} to {room.max():.3f}; {int(table['messages'].min())} independent "
        f"messages a probe); at least {nearest:.1f} times n d (1 - h({GUARANTEE:g})); a share of "
        f"{kept - room.max():.2f} or less would have been seen",
    )


EXPERIMENT = Experiment(
    name="sparsity",
    title="One-hot attention rows, and the memory that top-k attention needs all the same",
    run=run,
    claims=(
        Claim(
            "sparsity.one-hot",
            "Corollary 16",
            "With Alice's q_t = C k_t, every attention row of the hard stream, hers and Bob's, has "
            "its own token's weight as the largest: 1/(1 + S'), in Bob's rows 1/(1 + S' + e^-C), "
            "above rho/(rho + 1 + rho e^-C): it outweighs all other data tokens together rho times",
            "reconstructed",
            (ONE_HOT,),
            _one_hot,
        ),
        Claim(
            "sparsity.promise",
            "observation",
            "Truncating every attention row to its largest entry changes no decoded bit: the "
            "sparsity promise holds",
            "ours",
            (TRUNCATION,),
            _promise,
        ),
        Claim(
            "sparsity.memory",
            "Corollary 16",
            "Top-k attention over a kept cache, built on sparsity, needs 4/5 of the tokens for "
            "error 1/10 on the stream whose rows are all one-hot, at every n, as without sparsity; "
            "that a share of the cache is linear in n is its layout and no finding",
            "reconstructed",
            (MEMORY,),
            _share,
        ),
    ),
    minutes={"quick": 0.2, "full": 10},
)
