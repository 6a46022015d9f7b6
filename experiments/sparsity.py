"""Sparsity does not help (Corollary 16): the hard instance's attention rows are one-hot already.

Three tables. ``one-hot``: the attention weights that the ``exact`` compressor gives Bob's queries,
read off its float32 answers by sending the unit vectors as values, beside the bound from S'_i; and
Gaussian queries of the same norm. ``truncation``: each row cut to its largest weight. ``memory``:
what top-k attention over a kept cache needs for error 1/10, by ``search``.

What the margin gives (ours; the paper's Corollary 16 says "one heavy entry"). Token i has the
weight p_i = 1 / (1 + S'_i + e^{-C|k_i|^2}), Bob's own token among the denominator's terms. At a
scale where M01 holds, S'_i < 1/rho, so

    p_i > 1 / (1 + 1/rho + e^{-C|k_i|^2}) = rho / (rho + 1 + rho e^{-C|k_i|^2}),                (1)

(1 + eta)/2 up to Bob's own token, and every other weight is below p_i / rho. Conversely if p_i >=
1 - delta with delta < 1/2 then S'_i < delta / (1 - delta), so M01 holds for every eta <= 1 - 2
delta: the heavier the heavy entry that is promised, the *larger* the tolerance at which all n d
bits are still needed. Where a row is cut to its largest weight p_i the output is p_i x_ij, or x_ij
if it is renormalised; the threshold lies in [0, p_i), so the bit is decoded right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..protocols.instance import Cell
from .experiment import Claim, Experiment, Judgement, Run, judge
from .scaling import FIXED_D, TOLERANCE, TWO_DECADES
from .search import GUARANTEE, Search, Team, find
from .sparsity_tables import GAUSSIAN, HARD, Setting, truncation_rows, weight_rows
from .tables import Tables, fill, make, read_table

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
              for kind in (HARD, GAUSSIAN)]  # fmt: skip
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
        instance = replace(cell.instance, rows=ROWS if self.n > ROWS else None)
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
    hard, gauss = first[first["kind"] == HARD], first[first["kind"] == GAUSSIAN]
    short = float(hard["excess"].max())
    above = bool((hard["slack"] > 0).all())
    own = bool((hard["own_top"] == hard["queries"]).all())
    parts = [
        f"{rows['own_low'].min():.4f} at eta = {eta:g} "
        f"(median largest weight of Gaussian queries "
        f"{gauss[gauss['eta'] == eta]['median'].max():.3f})"
        for eta, rows in hard.groupby("eta")
    ]
    return judge(
        short <= ROUNDING and above and own,
        f"{int(hard['queries'].sum()):,} queries, {hard['seed'].nunique()} independent jl draws "
        f"and kerdock; least own weight {', '.join(parts)}; below its bound by {short:.0e} at most "
        f"(float32 rounding allowed: {ROUNDING:g})",
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


def slopes(table: pd.DataFrame) -> dict[str, float]:
    """Least-squares slopes in log-log over the two largest decades, by curve."""
    found = {}
    for (k, dtype), rows in table.groupby(["k", "dtype"], sort=False):
        chosen = rows[rows["size"] >= rows["size"].max() / TWO_DECADES]
        line = np.polyfit(np.log(chosen["size"]), np.log(chosen["charged_bits"]), 1)
        found[f"top-{k} {dtype}"] = float(line[0])
    return found


def _linear(folder: Path) -> Judgement:
    table = read_table(folder, MEMORY)
    fitted = slopes(table)
    listed = ", ".join(f"{name} {slope:.4f}" for name, slope in fitted.items())
    limit = table["size"] * table["other"] * table["floor_per_secret_bit"]
    nearest = float((table["charged_bits"] / limit).min())
    return judge(
        all(abs(slope - 1) <= TOLERANCE for slope in fitted.values()) and nearest >= 1.0,
        f"slopes over n = {int(table['size'].max() / TWO_DECADES)} to {int(table['size'].max())}: "
        f"{listed}; never below {nearest:.1f} times n d (1 - h({GUARANTEE:g})); "
        f"{int(table['messages'].min())} independent messages a probe, no interval on the slope",
    )


EXPERIMENT = Experiment(
    name="sparsity",
    title="One-hot attention rows, and the memory that top-k attention needs all the same",
    run=run,
    claims=(
        Claim(
            "sparsity.one-hot",
            "Corollary 16",
            "In every attention row of the hard instance the secret's own weight is the largest, "
            "at least 1/(1 + S' + e^-C), above rho/(rho + 1 + rho e^-C): it outweighs all other "
            "data tokens together rho times",
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
            "Top-k attention over a kept cache, an algorithm built on sparsity, still needs memory "
            "linear in n for error 1/10 (slope within .02 of 1)",
            "reconstructed",
            (MEMORY,),
            _linear,
        ),
    ),
    minutes={"quick": 0.2, "full": 10},
)
