"""What the tables of tensor attention decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kit.experiment import Judgement, claim, judge
from ..kit.half_size import half_size_errs
from ..kit.played import Played
from .measure import LAYOUTS, MARGINS, PLAYED

if TYPE_CHECKING:
    import pandas as pd

    from ...runs.rows import BatchRow

# Float32 sums in another order: scores of about 4 off by 1e-5, answers in [0, 1].
ROUNDING = 1e-4

Point = dict[str, Any]


@claim("tensor.decodes", "follow-up 2503.11108", "ours", Played(PLAYED), MARGINS)
def decodes(points: list[Point], table: pd.DataFrame) -> Judgement:
    """Four caches (K1, K2, V1, V2): all 2 (n-1) d bits are decoded without error at eta = 1/2, in
    the worst context under the worst error too, and just below that scale the worst error flips
    one.
    """
    chosen = [p for p in points if p["compressor"] == "four-cache"]
    wrong, asked = (sum(p[f"{what}_bits"] for p in chosen) for what in ("wrong", "asked"))
    zero, one = float(table["zero"].max()), float(table["one"].min())
    sharp = bool((table["zero_below"] > 1).all() and (table["one_below"] < 1).all())
    formats = ", ".join(dict.fromkeys(str(p["params"]["dtype"]) for p in chosen))
    return judge(
        bool(chosen) and wrong == 0 and zero < 1 < one and sharp,
        f"{sum(p['messages'] for p in chosen)} messages, n = {_sizes(chosen)}, in {formats}: "
        f"{wrong} wrong of {asked:,} bits; worst contexts of {int(table['rows'].sum())} rows, "
        f"moved by 1 +- 1/2: zeros at most {zero:.6f}, ones at least {one:.6f} of the threshold; "
        f"at .999 of the scale both kinds cross it at every n: {'yes' if sharp else 'no'}",
    )


def _sizes(chosen: list[Point]) -> str:
    return ", ".join(map(str, sorted({int(p["n"]) for p in chosen})))


@claim("tensor.rejects", "observation", "ours", Played(PLAYED, list))
def rejects(rows: list[BatchRow]) -> Judgement:
    """A message of half the secret's size errs above 1/10 on tensor attention."""
    return half_size_errs(rows)


@claim("tensor.products", "observation", "ours", LAYOUTS)
def products(table: pd.DataFrame) -> Judgement:
    """The two-cache layout stores n^2 d numbers that 2 n d numbers determine: genuine products
    cannot need Omega(n^2 d) bits, arbitrary rows do.
    """
    genuine, free = (table[table["values"] == v] for v in ("genuine", "arbitrary"))
    alone = genuine[genuine["layout"] == "bits of the factors"]
    stored = genuine[genuine["layout"] == "two-cache"]
    rows = free[free["layout"] == "two-cache"]
    half = free[free["layout"] == "half of the bits"]
    slopes = {name: _slope(part, "charged_bits") for name, part in
              (("two-cache", stored), ("bits", alone))}  # fmt: skip
    apart = float(genuine["answers_apart"].max())
    holds = (
        bool((genuine["bit_error"] == 0).all())
        and apart <= ROUNDING
        and bool((alone["charged_bits"] == alone["secret_bits"]).all())
        and bool((rows["bit_error"] == 0).all())
        and bool((rows["secret_bits"] == rows["n"] ** 2 * rows["d"]).all())
        and bool((half["error_low"] > 0.1).all())
    )
    last = {k: int(part["charged_bits"].iloc[part["n"].argmax()]) for k, part in
            (("two", stored), ("bits", alone))}  # fmt: skip
    n = int(table["n"].max())
    return judge(
        holds,
        f"n = {n}, genuine products: {last['bits']:,} bits answer as {last['two']:,} do (largest "
        f"difference {apart:.1e}, slopes in n {slopes['bits']:.2f} and {slopes['two-cache']:.2f}); "
        f"arbitrary rows: {int(rows['secret_bits'].max()):,} bits decoded, half of them leave "
        f"error >= {float(half['error_low'].min()):.3f} (95 %); {int(table['messages'].sum())} "
        "messages",
    )


def _slope(part: Any, column: str) -> float:
    return float(np.polyfit(np.log(part["n"]), np.log(part[column]), 1)[0])
