"""The lemmas against the draws, their constants against the sums, and what the keys do instead."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..kit.binomial import simultaneous
from ..kit.experiment import Judgement, claim, judge
from .measure import CERTIFIED, CONSTANT, DIMENSION, LEVEL, TAILS, UNION

if TYPE_CHECKING:
    import pandas as pd

#: the deviations at which jl keys are held against the lemma's dimension
REACHED = (0.5, 0.4, 0.3, 0.2)
# The largest of more draws is larger: by the exact law of <k_i,k_j> one draw in 26 still exceeds
# eps = .2 at 645 dimensions (a share .28 of the lemma's), and one in 900 at the next, 813 (.35).
SHARE = 1 / 2


@claim("jl.norms", "Theorem 20", "reconstructed", TAILS)
def norms(table: pd.DataFrame) -> Judgement:
    """The squared norm of a projected unit vector leaves [1-eps, 1+eps] with probability at most 2
    exp(-(eps^2-eps^3) d/4).
    """
    return _tails_hold(table, "norm")


def _tails_hold(table: pd.DataFrame, quantity: str) -> Judgement:
    table = table[table["quantity"] == quantity].reset_index(drop=True)
    low, high = simultaneous(table["exceeded"], table["matrices"], LEVEL).T
    over = int(((low > table["bound"]) | (table["exact"] > table["bound"])).sum())
    off = int(((table["exact"] < low) | (table["exact"] > high)).sum())
    telling = table[table["bound"] < 1]
    share = float((telling["exceeded"] / telling["matrices"] / telling["bound"]).max())
    sure = int((high < table["bound"]).sum())
    return judge(
        over == 0 and off == 0,
        f"{over} of {len(table)} cells (d, eps) above the bound, in {sure} the whole interval is "
        f"below; the exact tails lie in all but {off} of the intervals (simultaneous "
        f"{100 * LEVEL:g} %, {int(table['matrices'].min()):,} independent matrices a d); where the "
        f"bound is below 1 the frequency is at most {share:.3f} of it",
    )


@claim("jl.products", "Lemma 21", "reconstructed", TAILS)
def products(table: pd.DataFrame) -> Judgement:
    """The inner product of two unit vectors is moved by more than eps with probability at most 4
    exp(-(eps^2-eps^3) d/4).
    """
    return _tails_hold(table, "product")


@claim("jl.union", "Lemma 3", "reconstructed", UNION)
def union(table: pd.DataFrame) -> Judgement:
    """At d = 12 ln n/(eps^2-eps^3), rounded up, all inner products and norms of n unit points
    (orthonormal, or with all inner products 1/2) are kept to eps at once, in at least a share 1 -
    1/n of the draws.
    """
    low, high = simultaneous(table["kept"], table["draws"], LEVEL).T
    promised = 1 - 1 / table["n"]
    lost = int((table["draws"] - table["kept"]).sum())
    broken = bool((high < promised).any())
    return judge(
        not broken,
        f"{lost} of {int(table['draws'].sum()):,} draws (n = {table['n'].min()} to "
        f"{table['n'].max()}, eps = {table['eps'].min():g} to {table['eps'].max():g}) move a pair "
        f"or a norm too far; the lower ends of the simultaneous {100 * LEVEL:g} % intervals are at "
        f"least 1 - {float(((1 - low) * table['n']).max()):.2f}/n",
        decided=broken or bool((low >= promised).all()),
    )


@claim("jl.constant", "Lemma 22", "ours", CONSTANT)
def constant(table: pd.DataFrame) -> Judgement:
    """Counting all pairs and norms, the union bound at 12 ln n (reconstructed) gives failure 2/n
    and not 1/n; 12 ln n + 4 ln 2 gives 1/n; the statement at 12 ln n is true all the same at every
    n and eps tried: over the exact tails the sum is below 1/n.
    """
    wanted = table["numerator"].map({"12 ln n": 2.0, "12 ln n + 4 ln 2": 1.0})
    # Decimal's sum against the formula, and float64's by ``jl_lemmas`` against both.
    off = float((table["stated_times_n"] - wanted).abs().max())
    code = float((table["code_times_n"] - table["stated_times_n"]).abs().max())
    lemma = table[table["numerator"] == "12 ln n"]
    exact = lemma["exact_times_n"]
    worst = lemma.loc[exact.idxmax()]
    return judge(
        max(off, code) < 1e-9 and bool((exact < 1).all()),
        f"{len(table)} cells, n = {table['n'].min()} to {table['n'].max():,}: n times the sum of "
        f"2n norm tails and 4 n(n-1)/2 pair tails is 2 and 1, to {max(off, code):.0e}; over exact "
        f"tails at 12 ln n at most {exact.max():.3f} (n = {worst['n']}, eps = {worst['eps']:g}), "
        f"and {exact.median():.0e} in half of the cells; without the norms the sum at n = 2 "
        "would be 1",
    )


@claim("jl.suffices", "observation", "ours", DIMENSION, preregistered=False)
def suffices(table: pd.DataFrame) -> Judgement:
    """The measured dimension from which on 512 unit jl keys have deviation eps in every draw, eps
    from .2 to .5, is below half of the dimension that the lemma (reconstructed) asks for.
    """
    from ...reductions.paper import jl_dimension

    n = int(table["n"].iloc[0])
    asked = {eps: math.ceil(jl_dimension(n, eps)) for eps in REACHED}
    unit = {eps: reached(table, "deviation", eps) for eps in REACHED}
    raw = {eps: reached(table, "deviation_raw", eps) for eps in REACHED}
    parts = [f"eps = {e:g}: {unit[e]:g} of {asked[e]} ({unit[e] / asked[e]:.2f})" for e in REACHED]
    literal = ", ".join(f"{raw[e]:g}" if raw[e] < math.inf else "more" for e in REACHED)
    return judge(
        all(unit[eps] < SHARE * asked[eps] for eps in REACHED),
        f"n = {n}, all of {table['draw'].nunique()} draws; {', '.join(parts)}; the literal keys, "
        f"norms included, take {literal} (measured up to d = {table['d'].max()})",
    )


def reached(table: pd.DataFrame, column: str, eps: float) -> float:
    """The least measured d from which on that deviation is at most eps in every draw, or inf."""
    worst = table.groupby("d")[column].max()
    last = max([0, *worst.index[worst > eps]])
    return float(min([math.inf, *worst.index[worst.index > last]]))


@claim("jl.vacuous", "observation", "ours", CERTIFIED)
def vacuous(table: pd.DataFrame) -> Judgement:
    """At d = 64 and 128 the lemma's constants (reconstructed) certify fewer than 4 tokens; explicit
    codes certify thousands at the same d.
    """
    codes = table[table["method"] == "kerdock"]
    parts, holds = [], True
    for d in (64, 128):
        at = table[table["d"] == d].set_index("method")["n"]
        code = codes[codes["d"] <= d].sort_values("d").iloc[-1]
        holds &= bool(at["lemma"] < 4 and code["n"] >= 1000 and np.isfinite(code["scale"]))
        parts.append(
            f"d = {d}: lemma {at['lemma']:.1f}, union of exact tails {at['union, exact tails']:.0f}"
            f", Kerdock {code['n']:.0f} (in {code['d']:.0f} of the coordinates, C = "
            f"{code['scale']:.2f})"
        )
    return judge(holds, "; ".join(parts))


@claim("jl.interference", "observation", "ours", DIMENSION)
def interference(table: pd.DataFrame) -> Judgement:
    """The exact scale of jl keys exists at dimensions where the paper's condition eps < 1/2 fails,
    and is below the closed form from the coherence everywhere.
    """
    beyond = table[table["deviation"] >= 0.5]
    finite = bool(np.isfinite(table["scale"]).all())
    ratio = float((table["scale"] / table["closed_scale"]).max())
    return judge(
        len(beyond) > 0 and finite and ratio < 1,
        f"{len(beyond)} of {len(table)} key sets (n = {int(table['n'].iloc[0])}, "
        f"{table['draw'].nunique()} draws, d = {table['d'].min()} to {table['d'].max()}) have "
        f"eps >= 1/2, up to d = {beyond['d'].max()}; all have a scale in float32, at most "
        f"{ratio:.3f} of the closed form",
    )
