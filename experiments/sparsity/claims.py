"""One-hot rows, what cutting them changes, and the share of tokens that top-k needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..kit.experiment import Judgement, claim, judge
from ..kit.search import GUARANTEE
from .measure import ALICE, GAUSSIAN, HARD, MEMORY, ONE_HOT, ROWS, STEPS, TRUNCATION

if TYPE_CHECKING:
    import pandas as pd

# Float32 scores err by about C (d + 2) 2^-24 <= 8e-5 at C = 20, weights by as much relatively.
ROUNDING = 1e-4


@claim("sparsity.one-hot", "Corollary 16", "reconstructed", ONE_HOT)
def one_hot(table: pd.DataFrame) -> Judgement:
    """With Alice's q_t = C k_t, every attention row of the hard stream, hers and Bob's, has its own
    token's weight as the largest: 1/(1 + S'), in Bob's rows 1/(1 + S' + e^-C), above rho/(rho + 1 +
    rho e^-C): it outweighs all other data tokens together rho times.
    """
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


@claim("sparsity.promise", "observation", "ours", TRUNCATION)
def promise(table: pd.DataFrame) -> Judgement:
    """Truncating every attention row to its largest entry changes no decoded bit: the sparsity
    promise holds.
    """
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


@claim("sparsity.memory", "Corollary 16", "reconstructed", MEMORY)
def memory(table: pd.DataFrame) -> Judgement:
    """Top-k attention over a kept cache, built on sparsity, needs 4/5 of the tokens for error 1/10
    on the stream whose rows are all one-hot, at every n, as without sparsity; that a share of the
    cache is linear in n is its layout and no finding.
    """
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


def _room(table: pd.DataFrame) -> pd.Series:
    """How far the share of tokens found may lie from .8 by the step and by chance, by line."""
    rows = table["size"].clip(upper=ROWS) * table["messages"]
    coins = 10 * np.sqrt(0.05 / (rows * table["other"]))
    end = 5 / 16 / (2 * np.sqrt(rows / 16)) * (table["size"] > ROWS)
    return 1 / table["size"].clip(upper=STEPS) + coins + end
