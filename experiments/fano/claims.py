"""What the counts over all secrets say: nothing passes the bound, nor a step of its proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..kit.experiment import Judgement, claim, judge
from .measure import CHAIN, CHAIN_ALL, HYPER, OPTIMUM, N

if TYPE_CHECKING:
    import pandas as pd

#: float64 entropies of exact fractions: a few 2^-53 of at most 4 bits each
ROUNDING = 1e-12


@claim("fano.bound", "Theorem 5", "reconstructed", OPTIMUM)
def bound(table: pd.DataFrame) -> Judgement:
    """No deterministic protocol for N <= 4 bits and an m-bit message has mean error below the e
    with m = N (1 - h(e)): the exact optimum lies on or above Fano's curve.
    """
    error = table["errors_subsets"] / table["asked"]
    excess = error - table["fano_floor"]
    inner = table[(table["L"] > 1) & (table["L"] < 2.0 ** table["N"])]
    nearest = excess[inner.index].idxmin()
    at = table.loc[nearest]
    # A wrong bit less, over all secrets together, is the least that a better protocol could gain.
    seen = int((excess - 1 / table["asked"] < -ROUNDING).sum())
    return judge(
        bool((excess >= -ROUNDING).all()),
        f"{len(table)} pairs (N, L), exact optima; on the curve at L = 1 and L = 2^N, and at least "
        f"{excess[nearest]:.4f} above it between (N = {at['N']:.0f}, L = {at['L']:.0f}: "
        f"{error[nearest]:.4f} against {at['fano_floor']:.4f}); with a wrong bit less, over all "
        f"secrets together, {seen} pairs would lie below it",
    )


@claim("fano.chain", "Theorem 23", "reconstructed", CHAIN, CHAIN_ALL)
def chain(optimal: pd.DataFrame, every: pd.DataFrame) -> Judgement:
    """For the optimal protocols, and for every protocol of N <= 3 bits, sum_i (1 - h(e_i)) <= sum_i
    I(X_i; M) <= I(X; M) <= m: each inequality of the proof, computed exactly.
    """
    terms = optimal[["concave", "fano", "marginal", "joint", "length"]].to_numpy()
    slacks = every.filter(like="slack_").to_numpy()
    least = min(float(np.diff(terms, axis=1).min()), float(slacks.min()))
    gap = optimal.loc[(optimal["joint"] - optimal["marginal"]).idxmax()]
    return judge(
        least >= -ROUNDING,
        f"{len(optimal)} optimal protocols of N <= 4 bits and all {every['protocols'].sum():,} of "
        f"N <= 3: no inequality fails by more than {abs(min(least, 0.0)):.0e} bits (rounding "
        f"allowed: {ROUNDING:.0e}); the chain rule gives away most at N = {gap['N']:.0f}, "
        f"L = {gap['L']:.0f}: {gap['joint'] - gap['marginal']:.3f} bits",
    )


@claim("fano.optimum", "observation", "ours", OPTIMUM)
def optimum(table: pd.DataFrame) -> Judgement:
    """Computations that share nothing, trying all encoders (N <= 3), trying all decoders and
    dynamic programming over subsets (N <= 4), give the same optimum.
    """
    tried = table[table["errors_partitions"].notna()]
    apart = int((table["errors_codebooks"] != table["errors_subsets"]).sum())
    apart += int((tried["errors_partitions"] != tried["errors_subsets"]).sum())
    return judge(
        apart == 0,
        f"{apart} differences: all encoders against subsets at {len(tried)} pairs (N, L) with "
        f"N <= 3, all decoders against subsets at {len(table)} with N <= 4",
    )


@claim("fano.hypercompression", "observation", "ours", HYPER)
def hypercompression(table: pd.DataFrame) -> Judgement:
    """Over all 2^12 secrets of N = 12 bits, Pr[distance <= k] <= 2^m V(N,k)/2^N for every encoder
    tried, every m and every k.
    """
    complete = len(table) == table["encoder"].nunique() * (N + 1) ** 2
    over = int((table["within"] > table["bound"]).sum())
    beyond = int((table["reconstructions"] > 2 ** table["m"]).sum())
    tight = table[(table["within"] == table["bound"]) & (table["bound"] < table["secrets"])]
    tight = tight[tight["m"] > 0]  # one reconstruction meets it at every k
    return judge(
        complete and over == 0 and beyond == 0,
        f"{over} of {len(table)} cells (encoder, m, k) above the bound, each over all "
        f"{int(table['secrets'].min())} secrets; {len(tight)} with m > 0 meet it exactly where it "
        f"is below 1, up to k = {int(tight['k'].max())}",
    )
