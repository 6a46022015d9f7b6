"""What the tables of the bounds decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...reductions.rate_bounds import SCALAR_GAP
from ..kit.experiment import Judgement, claim, judge
from .measure import INSIDE, MODELS, OUTSIDE, RANGE, SETS
from .precision import (
    ALPHABETS,
    CACHE_BITS,
    CACHES,
    EIGHTHS,
    FLOORS,
    GAMES,
    LAW,
    PAYLOAD,
    PAYLOAD_ETAS,
)

if TYPE_CHECKING:
    import pandas as pd


@claim("bounds.scales", "Theorem 8", "ours", SETS)
def scales(rows: pd.DataFrame) -> Judgement:
    """The exact scales of the explicit key sets are the ones derived by hand from their weight
    enumerators.
    """
    known = rows[rows["expected"].notna()]
    off = known[(known["logit_range"] - known["expected"]).abs() > 0.005001]
    said = ", ".join(f"{r['keys']} d={r['d']} n={r['n']}: {r['logit_range']:.2f}"
                     for _, r in known.iterrows())  # fmt: skip
    return judge(off.empty and len(known) >= 8, said)


@claim("bounds.verified", "observation", "ours", SETS)
def verified(rows: pd.DataFrame) -> Judgement:
    """At the exact scale no answer of a sampled row of any construction is misread when it is off
    by eta, either way, in its worst context; off by 1.001 eta towards each other, all are.
    """
    inside, away = int(rows["misread_inside"].sum()), int(rows["misread_away"].sum())
    sharp = int((rows["misread_outside"] == 2 * rows["rows"]).sum())
    far = float(rows["largest_deviation"].max())
    number = int(rows["rows"].sum())
    return judge(
        inside == 0 and away == 0 and sharp == len(rows) and far < 1e-6,
        f"{number} sampled rows of {len(rows)} sets up to n = {int(rows['n'].max()):,}, both bits "
        f"in their worst contexts: {inside} of {4 * number:,} answers off by {INSIDE:g} eta, up "
        f"and down, are misread; off by {OUTSIDE:g} eta towards each other all are in {sharp} "
        f"sets, apart {away}; the float32 keys' interference is within {far:.1e} of the "
        f"spectrum's; a threshold or a scale off by {OUTSIDE - 1:.0e} would be seen",
    )


@claim("bounds.range", "observation", "ours", RANGE)
def range(rows: pd.DataFrame) -> Judgement:
    """No known set of n keys has a logit range below the least that any n unit keys in d dimensions
    can have, (1 + 1/rho)/n = E e^{R(u-1)}, u the inner product of two uniform ones.
    """
    ratio = rows["logit_range"] / rows["least"]
    nearest, farthest = rows.loc[ratio.idxmin()], rows.loc[ratio.idxmax()]
    large = rows[rows["n"] >= 1024]
    at = rows[rows["n"] == 4096].set_index("d")
    said = ", ".join(f"d = {d}: {r.logit_range:.2f} of {r.least:.2f}" for d, r in at.iterrows())
    return judge(
        bool((ratio >= 1).all()),
        f"{len(rows)} pairs (n, d): known sets take {ratio.min():.3f} (n = {nearest['n']}, d = "
        f"{nearest['d']}) to {ratio.max():.2f} times it (n = {farthest['n']}, d = "
        f"{farthest['d']}), {float((large['logit_range'] / large['least']).max()):.2f} at most "
        f"from n = 1024 on; nats for 4096 tokens, {said}; a scale too small by "
        f"{100 * (1 - 1 / ratio.median()):.0f} % would be seen in half of the pairs",
    )


@claim("bounds.guarantee", "observation", "ours", MODELS)
def guarantee(rows: pd.DataFrame) -> Judgement:
    """The guarantee decides whether 28x is excluded: not at success .9, but without error."""
    one = rows[(rows["model"] == "Llama 3.1 8B") & (rows["context"] == 131072)]
    by = one.set_index("success")["compression_kv"]
    return judge(
        bool(by[0.9] > 28 > by[1.0]) if {0.9, 1.0} <= set(by.index) else False,
        f"Llama 3.1 8B at 131,072 tokens, keys and values at one bit a number, logits up to "
        f"{one['logit_range_kv'].max():.1f}: at most {by[0.9]:.1f}x at success .9, "
        f"{by[0.99]:.1f}x at .99, {by[1.0]:.1f}x without error",
    )


# -- bits a number ------------------------------------------------------------------------------


@claim("bounds.precision", "observation", "ours", LAW)
def precision(rows: pd.DataFrame) -> Judgement:
    """The precision law: ceil(ln V/ln rho) levels within a factor V under 1 +- eta, and ceil(1/(2
    gamma)) in [0,1] under an additive gamma, can be told apart, no more can, and codes with so many
    words are enough.
    """
    additive, tolerance, levels = rows["error"] == "additive", rows["tolerance"], rows["levels"]
    step = np.log((1 + tolerance) / (1 - tolerance)).where(~additive, 2 * tolerance)
    whole = np.log(rows["value_range"]).where(~additive, 1.0)
    apart = (levels - 1) * step < whole * (1 - 1e-9)
    no_more = levels * step > whole * (1 - 1e-9)
    enough = rows["worst_error"] <= tolerance * (1 + 1e-9)
    fewer_lose = (rows["worst_error_fewer"] > tolerance) | (levels == 1)
    holds = apart & no_more & enough & fewer_lose & (rows["used_levels"] <= levels)
    fine = rows[tolerance == 2.0**-9]
    in_01, wide = fine[fine["error"] == "additive"], fine[fine["value_range"] == 2.0**16]
    return judge(
        bool(holds.all()) and len(in_01) == len(wide) == 1,
        f"{int(holds.sum())} of {len(rows)} tolerances: so many levels are further apart than the "
        "error, one more is not, codes of so many words keep within it and of one less do not; at "
        f"2^-9 {in_01['levels'].sum()} levels in [0,1] under an additive error, "
        f"{wide['levels'].sum()} over a factor 2^16 under a relative one",
    )


@claim("bounds.caches", "observation", "ours", CACHES, FLOORS)
def caches(rows: pd.DataFrame, lines: pd.DataFrame) -> Judgement:
    """Quantised caches of 8, 4 and 2 bits lie above the rate-distortion bounds for wrong numbers
    and for squared error; keeping the high bits is 1/2 log2(2 pi e/12) bit above the latter.
    """
    lines["eighth"] = np.rint(EIGHTHS * lines["bits_per_number"]).astype(int)
    rows["eighth"] = np.ceil(EIGHTHS * rows["bits_per_number"] - 1e-9).astype(int)
    met = rows.merge(lines, "left", on=["levels", "eighth"], suffixes=("", "_floor")).fillna(0.0)
    legal = all((met[e] >= met[f"{e}_floor"] - 1e-12).all() for e in ("symbol_error", "mse"))
    some = int((met["mse_floor"] > 0).sum())
    seen = int(((met["symbol_error_floor"] > 0) | (met["mse_floor"] > 0)).sum())
    whole = lines[lines["mse_requantised"] > 0]
    gap = 0.5 * np.log2((whole["mse_requantised"] + 1 / 12) / (whole["mse_dither"] + 1 / 12))
    near = bool((gap - SCALAR_GAP).abs().max() < 1e-9)
    ordered = bool((lines["mse"] >= lines["mse_dither"] - 1e-12).all())
    many = rows[rows["levels"] == 256].set_index("cache_bits")
    said = ", ".join(
        f"{bits} bits ({many['bits_per_number'][bits]:g} charged) {many['symbol_error'][bits]:.3f}"
        for bits in CACHE_BITS
    )
    return judge(
        legal and some > 0 and near and ordered,
        f"{len(rows)} caches, none below its bounds, where one without an error is at {seen}; "
        f"wrong numbers of 256 levels: {said}; keeping the high bits is {gap.mean():.4f} bit above "
        "the bound for squared error",
    )


@claim("bounds.alphabets", "observation", "ours", GAMES)
def alphabets(rows: pd.DataFrame) -> Judgement:
    """Numbers of 4, 16 and 256 levels are read without error from exact attention at the exact
    scale, under the worst error allowed too, and at .999 of that scale every row has a level that
    is not.
    """
    sharp = rows["misread_below"] == rows["rows"]
    said = ", ".join(
        f"{r['levels']} {r['alphabet']} at C = {r['scale']:.2f}" for _, r in rows.iterrows()
    )
    close = (rows["scale"] / rows["exact_scale"] - 1).abs().max() < 2e-3
    return judge(
        bool((rows["wrong"] == 0).all() and (rows["misread_at"] == 0).all() and sharp.all())
        and bool(close)
        and set(rows["levels"]) == set(ALPHABETS),
        f"{said}: {rows['wrong'].sum()} wrong of {rows['asked'].sum():,} bits and "
        f"{rows['misread_at'].sum()} misread levels under .999 of the worst error; at .999 of the "
        f"scale {int(rows['misread_below'].sum())} of {rows['rows'].sum()} rows have one",
    )


@claim("bounds.payload", "observation", "ours", PAYLOAD)
def payload(rows: pd.DataFrame) -> Judgement:
    """Secrets in keys as well: 8192 bits in values and 6144 in keys of 256 tokens are read without
    error from exact attention.
    """
    wrong = rows[["wrong_in_values", "wrong_in_keys", "wrong_moved"]].to_numpy().sum()
    sizes = set(zip(rows["bits_in_values"], rows["bits_in_keys"], strict=True))
    said = ", ".join(f"eta = {r['eta']:g}: {r['logit_range']:.1f} nats" for _, r in rows.iterrows())
    return judge(
        wrong == 0 and sizes == {(8192, 6144)} and set(rows["eta"]) == set(PAYLOAD_ETAS),
        f"n = 256, d = 32, {said}: {wrong} wrong over {rows['messages'].sum()} messages of "
        f"{' + '.join(str(part) for pair in sizes for part in pair)} bits in values and in keys, "
        "the answers as they are and moved by .999 of the error allowed",
    )
