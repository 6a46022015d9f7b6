"""What the tables of the unmasked window decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...runs.points import points_of
from ..kit.experiment import Judgement, claim, judge
from ..kit.played import Played
from .measure import ATTACK, BELOW, CUT, DECADES, MEMORY, SCALE
from .ordinary_streams import BOOSTED, MEDIAN, PLAIN, SAMPLES, SUM, UNBIASED

if TYPE_CHECKING:
    import pandas as pd

    from ...runs.rows import BatchRow

GUARANTEE_SLOPE, LAW_SLOPE = 0.02, 0.05
# 64 messages of 2^13 bits: an estimate's own spread is .0007.
CLOSE = 0.005
#: one rounding of a float32 answer is 2^-24; float64 sums of 10^6 terms stay far below another
ROUNDING = 2.0**-23
Point = dict[str, Any]


def points(rows: list[BatchRow]) -> list[Point]:
    """The attack's rows as points; ``share`` is f, the share of the secret rows kept."""
    return [point | {"share": _share(point)} for point in points_of(rows)]


def _share(point: Point) -> float:
    # Bob's own token takes one of the places.
    rows = int(point["secret_bits"]) // int(point["messages"]) // int(point["d"])
    kept: float = int(point["params"].get("window", rows + 1)) - 1
    return kept / rows


@claim("window.attack", "Theorem 17", "reconstructed", Played(ATTACK, points))
def attack(found: list[Point]) -> Judgement:
    """On the unmasked window every bit of the window is decoded from exact answers, and what keeps
    a share f of its rows errs (1-f)/2 within .005; so does a window that masks older tokens, while
    n - W is well below 8/3 e^C, as here.
    """
    whole = [p for p in found if p["compressor"] in ("exact", "running-sum", "lossless")
             and "window" not in p["params"]]  # fmt: skip
    cut = [p for p in found if p["compressor"] in CUT and "window" in p["params"]]
    wrong, asked = (sum(p[name] for p in whole) for name in ("wrong_bits", "asked_bits"))
    gaps = [abs(p["bit_error"]["estimate"] - (1 - p["share"]) / 2) for p in cut]
    missed = sum(
        not p["bit_error"]["low"] <= (1 - p["share"]) / 2 <= p["bit_error"]["high"] for p in cut
    )
    messages = sum(p["messages"] for p in (*whole, *cut))
    return judge(
        len(whole) == 3 and wrong == 0 and max(gaps) <= CLOSE and not missed,
        f"{messages} messages; exact answers: {wrong} wrong of {asked:,} bits; {len(cut)} cut "
        f"windows: largest distance from (1-f)/2 is {max(gaps):.4f} (allowed {CLOSE:g}), "
        f"{missed} of the 95% intervals miss it",
    )


@claim("window.scale", "observation", "ours", SCALE)
def scale(table: pd.DataFrame) -> Judgement:
    """The scale needed on the window does not depend on n; the paper's (84), as reconstructed,
    grows as ln n.
    """
    table = table.sort_values("n")
    tight, paper = table["tight_scale"], table["paper_scale"]
    growth = float(np.polyfit(np.log(table["n"] + 1), paper * (1 - 2 * table["eps"]), 1)[0])
    sharp = bool((table["margin"] > 1).all() and (table["margin_below"] < 1).all())
    wrong = int(table["wrong_bits"].sum())
    span = float(tight.max() - tight.min())
    return judge(
        span == 0.0 and sharp and wrong == 0 and abs(growth - 1) <= 1e-6,
        f"n = {table['n'].min():,} to {table['n'].max():,}: ours is {tight.iloc[0]:.3f}, largest "
        f"difference {span:g}, with {wrong} wrong of {int(table['asked_bits'].sum()):,} bits in "
        f"{int(table['messages'].sum())} messages, and {100 * (1 - BELOW):.1f} % below it an "
        f"error within (1 +- eta) flips one: {'yes' if sharp else 'no'}; the paper's "
        f"(reconstructed) {paper.iloc[0]:.2f} to {paper.iloc[-1]:.2f}",
    )


def slope(table: Any, against: str) -> float:
    """Least-squares slope of memory, fixed state subtracted, in log-log over two decades."""
    size = table[against].to_numpy(dtype=float)
    chosen = size >= size.max() / DECADES
    bits = (table["charged_bits"] - table["fixed_bits"]).to_numpy(dtype=float)
    return float(np.polyfit(np.log(size[chosen]), np.log(bits[chosen]), 1)[0])


@claim("window.memory", "Theorem 26", "reconstructed", MEMORY)
def memory(table: pd.DataFrame) -> Judgement:
    """Memory for error 1/10 on the window is never below (W-1) d (1 - h(1/10)) bits and does not
    grow with n (slope within .02 of 0); that it grows with slope 1 in W, fixed state subtracted, is
    the compressors' layout.
    """
    slopes = {
        (str(name), str(axis)): slope(rows, "rows" if axis == "W" else "n")
        for (name, axis), rows in table.groupby(["compressor", "axis"], sort=False)
    }
    off = [abs(value - (axis == "W")) for (_, axis), value in slopes.items()]
    limit = table["rows"] * table["d"] * table["floor_per_secret_bit"]
    nearest = float((table["charged_bits"] / limit).min())
    listed = ", ".join(f"{name} {value:.4f} in {axis}" for (name, axis), value in slopes.items())
    return judge(
        max(off) <= GUARANTEE_SLOPE and nearest >= 1,
        f"slopes: {listed}; {int(table['messages'].min())} messages a probe; the nearest of "
        f"{len(table)} points stands at {nearest:.3f} times (W-1) d (1 - h(1/10)) bits",
    )


@claim("window.unbiased", "Theorem 24", "reconstructed", UNBIASED)
def unbiased(table: pd.DataFrame) -> Judgement:
    """Algorithm 1's answer is unbiased: its mean over independent runs is the exact output within
    the interval.
    """
    off = (table["mean"] - table["exact"]).abs()
    outside = int((off > table["half_width"]).sum())
    streams = table.groupby("spread")["samples"].first()
    return judge(
        outside == 0,
        f"{int(streams.sum()):,} samples with coins of their own, {len(streams)} streams, "
        f"{len(table)} coordinates: largest deviation {off.max():.4f}, allowed "
        f"{table['half_width'].max():.4f} (Hoeffding, {table['level'].iloc[0]:.0%} for all "
        f"coordinates together); {outside} outside",
    )


@claim("window.boosted", "Theorem 25", "reconstructed", BOOSTED)
def boosted(table: pd.DataFrame) -> Judgement:
    """With 4 kappa/eps^2 copies a mean and 8 ln(2 d/delta) means, the median is within (1 +- eps)
    in all d coordinates in at least a share 1 - delta of the runs.
    """
    rows = table[table["method"] == MEDIAN]
    plain = table[table["method"] == PLAIN]
    kept = bool((rows["high"] <= rows["delta"]).all())
    broken = bool((rows["low"] > rows["delta"]).any())
    worst = rows.loc[(rows["high"] / rows["delta"]).idxmax()]
    fewer = (rows["copies"] * rows["means"]).to_numpy() / plain["copies"].to_numpy()
    return judge(
        kept,
        f"{int(rows['failures'].sum())} of {int(rows['runs'].sum()):,} independent runs fail in "
        f"{len(rows)} settings; the upper bound nearest its delta: {worst['high']:.4f} for "
        f"{worst['delta']:g} (Clopper-Pearson, {worst['level']:.0%} for all); plain means of "
        f"{fewer.min():.0f} to {fewer.max():.0f} times fewer samples: "
        f"{int(plain['failures'].sum())} of {int(plain['runs'].sum()):,} fail",
        decided=kept or broken,
    )


def law(table: Any) -> tuple[float, float, float]:
    """Slope of ln rms against ln samples: mean over groups, and a t interval at 99 %."""
    from scipy import stats

    slopes = [
        float(np.polyfit(np.log(rows["samples"]), np.log(rows["rms"]), 1)[0])
        for _, rows in table.groupby("group")
    ]
    half = stats.t.ppf(0.995, len(slopes) - 1) * np.std(slopes, ddof=1) / np.sqrt(len(slopes))
    middle = float(np.mean(slopes))
    return middle, middle - float(half), middle + float(half)


@claim("window.samples", "observation", "ours", SAMPLES)
def samples(table: pd.DataFrame) -> Judgement:
    """Algorithm 1's error falls as one over the square root of the samples (slope -1/2 within
    .05).
    """
    middle, low, high = law(table)
    within = low >= -0.5 - LAW_SLOPE and high <= -0.5 + LAW_SLOPE
    apart = high < -0.5 - LAW_SLOPE or low > -0.5 + LAW_SLOPE
    sizes = sorted(table["samples"].unique())
    return judge(
        within,
        f"slope {middle:.4f}, 99% interval [{low:.4f}, {high:.4f}] from "
        f"{table['group'].nunique()} groups of {int(table['runs'].min())} independent runs a size, "
        f"{sizes[0]} to {sizes[-1]:,} samples",
        decided=within or apart,
    )


@claim("window.running-sum", "observation", "ours", SUM)
def running_sum(table: pd.DataFrame) -> Judgement:
    """One running sum of the outside values answers exactly with 2 W d + d numbers: sampling is not
    needed.
    """
    worst = float(table["relative_error"].max())
    W, d = table["window"], table["d"]
    held = bool((table["numbers"] == 2 * W * d + d).all())
    # Keys and values in float32, the sum in float64, a counter.
    accounted = bool((table["message_bits"] == 32 * 2 * W * d + 64 * d + 64).all())
    return judge(
        worst <= ROUNDING and held and accounted,
        f"{table['stream'].nunique()} streams of up to {table['tokens'].max():,} tokens, "
        f"{len(table)} looks through a saved message: largest relative error {worst:.1e} (float32 "
        f"answers, allowed {ROUNDING:.1e}); numbers held = 2 W d + d: {'yes' if held else 'no'}",
    )
