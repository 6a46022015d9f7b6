"""How many tokens are certified by dimension and budget, decoded, and covered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..kit.experiment import Judgement, claim, judge
from .measure import BUDGET, CLUSTERS, COVERS, ETA, KISSING, LEVEL, NETS, PLANE, RANDOM

if TYPE_CHECKING:
    import pandas as pd


@claim("low.exponential", "Corollary 9", "reconstructed", RANDOM)
def exponential(table: pd.DataFrame) -> Judgement:
    """At query norm R = d the instance of random keys is certified for exponentially many tokens in
    d: ln(bits/d) grows at least linearly.
    """
    table = table.assign(ln=lambda rows: np.log(rows["bits"] / rows["d"]))
    grid = table.pivot_table(index="d", columns="draw", values="ln")
    d = grid.index.to_numpy(dtype=float)
    bend, half_bend = _mean(np.polyfit(d, grid.to_numpy(), 2)[0])
    slope, half = _mean(np.polyfit(d, grid.to_numpy(), 1)[0])
    at_budget = bool((table["R"] == table["d"]).all())
    holds = at_budget and slope - half > 0 and bend - half_bend >= 0
    broken = not at_budget or slope + half <= 0 or bend + half_bend < 0
    return judge(
        holds,
        f"{grid.shape[1]} independent draws of jl keys at each d = {int(d[0])} to {int(d[-1])}, "
        f"R = d: slope {slope:.3f} +- {half:.3f} nats a dimension, curvature {bend:.4f} +- "
        f"{half_bend:.4f} ({100 * LEVEL:g} %, t); slope for large d (ours): "
        f"{float(table['rate'].iloc[0]):.3f}",
        decided=holds or broken,
    )


def _mean(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The mean of independent draws, and half of Student's interval at LEVEL."""
    from scipy.special import stdtrit

    spread = float(draws.std(ddof=1) / np.sqrt(len(draws)))
    return float(draws.mean()), float(stdtrit(len(draws) - 1, (1 + LEVEL) / 2)) * spread


@claim("low.kissing", "observation", "ours", KISSING)
def kissing(table: pd.DataFrame) -> Judgement:
    """The constructed kissing configurations have the published sizes and largest inner product
    exactly 1/2, and every bit asked on them is decoded.
    """
    table = table.sort_values("d")
    sizes = bool((table["n"] == table["published"]).all())
    half = bool((2 * table["largest_inner"] == table["norm"]).all())
    wrong, asked = int(table["wrong"].sum()), int(table["asked"].sum())
    listed = ", ".join(f"{d}: {n:,}" for d, n in zip(table["d"], table["n"], strict=True))
    return judge(
        sizes and half and wrong == 0,
        f"sizes {listed}; exact integer Gram matrices (d = 24: one row of each of three shapes); "
        f"{wrong} of {asked:,} bits wrong in {int(table['messages'].sum())} messages "
        "(d = 24: sampled rows)",
    )


@claim("low.plane", "observation", "ours", PLANE)
def plane(table: pd.DataFrame) -> Judgement:
    """In d = 2, n keys on a circle decode all n d bits in float32 up to n = 1024 with eta = 1/2:
    the cap e^d stands for a budget on the query's norm.
    """
    last = table[table["n"] == 1024].iloc[0]
    complete = bool((table["asked"] == table["messages"] * table["bits"]).all())
    wrong = int(table["wrong"].sum())
    return judge(
        complete and wrong == 0,
        f"{wrong} of {int(table['asked'].sum()):,} bits wrong, all n d asked in "
        f"{int(last['messages'])} messages at each n; n = 1024 takes R = {last['R']:,.0f}",
    )


@claim("low.budget", "observation", "ours", BUDGET)
def budget(table: pd.DataFrame) -> Judgement:
    """On the circle the largest n certified at eta = 1/2 and query norm R is the integer part of
    .9987 pi sqrt(2R/ln(2 rho)), up to pi^2/(6 n) for the cosine's next term.
    """
    from ...reductions.low_dimension import circle_factor

    rows = table[table["family"] == "circle"]
    short = circle_factor(ETA) * rows["estimate"] - rows["n"]
    # 1 for the integer part; 1 - cos a is a^2/2 less a share a^2/12, a = 2 pi/n: n pi^2 / (6 n^2).
    room = 1 + np.pi**2 / 6 / rows["n"]
    seen = (short + 1 >= room) & (short - 1 <= 0)
    return judge(
        bool(((short > 0) & (short < room)).all()),
        f"{len(rows)} budgets from {rows['R'].min():g} to {rows['R'].max():g}, n = "
        f"{rows['n'].min()} to {rows['n'].max():,}: below by {short.min():.2f} to "
        f"{short.max():.2f} tokens (exact arithmetic, no draws); an n that is 1 off would be seen "
        f"at {int(seen.sum())} of them",
    )


@claim("low.exponent", "observation", "ours", BUDGET)
def exponent(table: pd.DataFrame) -> Judgement:
    """In fixed dimension d the certified n grows as R^((d-1)/2): fitted exponents for d = 2 and 3
    (within .03).
    """
    parts, holds = [], bool((table["n"] <= table["packing_limit"]).all())
    for family, d in (("circle", 2), ("sphere", 3)):
        rows = table[(table["family"] == family) & (table["n"] >= 20)]
        slope = float(np.polyfit(np.log(rows["R"]), np.log(rows["n"]), 1)[0])
        holds &= abs(slope - (d - 1) / 2) <= 0.03
        parts.append(f"d = {d}: {slope:.3f} over {len(rows)} budgets (theory {(d - 1) / 2:g})")
    return judge(
        holds, "; ".join(parts) + "; every n below the cap packing limit (exact, no draws)"
    )


@claim("low.covering", "Lemma 13", "paper", NETS)
def covering(table: pd.DataFrame) -> Judgement:
    """Greedy eps-nets of random points of the unit ball have at most (1+2/eps)^d points."""
    share = float((table["net"] / table["limit"]).max())
    left = int(table["uncovered"].sum()), int(table["fresh"].sum())
    return judge(
        share <= 1.0,
        f"{len(table)} nets in d = 1 to {int(table['d'].max())}: at most {share:.2f} of the limit; "
        f"{left[0]:,} of {left[1]:,} fresh points of the ball not covered",
    )


@claim("low.number", "Definition 12", "reconstructed", COVERS)
def number(table: pd.DataFrame) -> Judgement:
    """The covering number N(B, l2, eps) of the unit ball is at most (1+2/eps)^d: a lattice covers
    it with fewer balls, though not with fewer than its volume and a packing need.
    """
    least = np.maximum(np.ceil(table["volume"]), table["packing"])
    share = table["cover"] / table["limit"]
    line = table[table["d"] == 1]
    known = bool((line["cover"] == np.ceil(1 / line["eps"])).all())
    left = int(table["uncovered"].sum()), int(table["fresh"].sum())
    return judge(
        bool((share <= 1).all() and (least <= table["cover"]).all()) and left[0] == 0 and known,
        f"{len(table)} covers of the whole ball, d = 1 to {table['d'].max()}, of "
        f"{table['cover'].min()} to {table['cover'].max():,} balls: {share.min():.2f} to "
        f"{share.max():.2f} of the limit, at most {(table['cover'] / least).max():.0f} times what "
        f"volumes and packings need, exact for d = 1; {left[0]} of {left[1]:,} fresh points, half "
        f"of them on the sphere, not covered (the farthest at {table['farthest'].max():.3f} eps)",
    )


@claim("low.clusterable", "Lemma 14", "reconstructed", CLUSTERS)
def clusterable(table: pd.DataFrame) -> Judgement:
    """Every set of keys in the unit ball that was tried is (m, delta)-clusterable with m at most
    (1+4/delta)^d, delta the diameter.
    """
    rows = table[table["reading"] == "diameter"]
    share = float((rows["m"] / rows["limit"]).max())
    wide = float((rows["diameter"] / rows["delta"]).max())
    telling = rows[rows["limit"] < rows["n"]]
    return judge(
        share <= 1.0 and wide <= 1.0 + 1e-12,
        f"{len(rows)} clusterings of {table['keys'].nunique()} kinds of sets, 1024 keys each: m at "
        f"most {share:.2f} of the limit, which is below 1024 in "
        f"{len(telling)}; diameters at most {wide:.3f} delta",
    )
