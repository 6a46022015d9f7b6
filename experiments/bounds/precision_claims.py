"""Claims of the experiment ``bounds`` about bits a number."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...reductions.rate_bounds import SCALAR_GAP
from ..kit.experiment import Claim, Judgement, judge
from ..kit.tables import read_table
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


def _law(folder: Path) -> Judgement:
    rows = read_table(folder, LAW)
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


def _caches(folder: Path) -> Judgement:
    rows, lines = read_table(folder, CACHES), read_table(folder, FLOORS)
    # The floors fall with the bits, so the next eighth's is a bound; past log2 B bits there is none
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


def _alphabets(folder: Path) -> Judgement:
    rows = read_table(folder, GAMES)
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


def _payload(folder: Path) -> Judgement:
    rows = read_table(folder, PAYLOAD)
    wrong = rows[["wrong_in_values", "wrong_in_keys", "wrong_moved"]].to_numpy().sum()
    sizes = set(zip(rows["bits_in_values"], rows["bits_in_keys"], strict=True))
    said = ", ".join(f"eta = {r['eta']:g}: {r['logit_range']:.1f} nats" for _, r in rows.iterrows())
    return judge(
        wrong == 0 and sizes == {(8192, 6144)} and set(rows["eta"]) == set(PAYLOAD_ETAS),
        f"n = 256, d = 32, {said}: {wrong} wrong over {rows['messages'].sum()} messages of "
        f"{' + '.join(str(part) for pair in sizes for part in pair)} bits in values and in keys, "
        "the answers as they are and moved by .999 of the error allowed",
    )


CLAIMS = (
    Claim(
        "bounds.precision",
        "observation",
        "The precision law: ceil(ln V/ln rho) levels within a factor V under 1 +- eta, and "
        "ceil(1/(2 gamma)) in [0,1] under an additive gamma, can be told apart, no more can, and "
        "codes with so many words are enough",
        "ours",
        (LAW,),
        _law,
    ),
    Claim(
        "bounds.caches",
        "observation",
        "Quantised caches of 8, 4 and 2 bits lie above the rate-distortion bounds for wrong "
        "numbers and for squared error; keeping the high bits is 1/2 log2(2 pi e/12) bit above the "
        "latter",
        "ours",
        (CACHES, FLOORS),
        _caches,
    ),
    Claim(
        "bounds.alphabets",
        "observation",
        "Numbers of 4, 16 and 256 levels are read without error from exact attention at the exact "
        "scale, under the worst error allowed too, and at .999 of that scale every row has a level "
        "that is not",
        "ours",
        (GAMES,),
        _alphabets,
    ),
    Claim(
        "bounds.payload",
        "observation",
        "Secrets in keys as well: 8192 bits in values and 6144 in keys of 256 tokens are read "
        "without error from exact attention",
        "ours",
        (PAYLOAD,),
        _payload,
    ),
)
