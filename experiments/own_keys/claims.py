"""What the tables of ``own-keys`` decide. Its thresholds were committed before its first data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...reductions.bounds import fano_rate
from ..kit.experiment import Judgement, claim, judge
from .measure import HALF, PLAYED, POINTS, PRECISION, TOKENS

if TYPE_CHECKING:
    import pandas as pd

#: from this layer on the first layers, which look at single tokens, are behind
FROM = 5
#: the share of tokens, and on how many of the four kinds of text
SHARE, KINDS = 0.9, 3
#: at the longer norm, on the mean of all kinds
LONGER = 0.95
#: mean bits a number at gamma = .01, of log2 50 = 5.64; and more of them at .001, of log2 10 = 3.32
BITS, MORE = 4.0, 2.0
#: what is left of one half where half of the tokens are dropped
HALF_DROPPED = (0.2, 0.3)


def shares(tokens: pd.DataFrame, quantile: str) -> pd.DataFrame:
    """The share of certified tokens, by layer and kind, over heads and texts."""
    chosen = tokens[tokens["quantile"] == quantile]
    sums = chosen.groupby(["layer", "kind"])[["certified", "n"]].sum()
    shares: pd.DataFrame = (sums["certified"] / sums["n"]).unstack("kind")
    return shares


@claim("own-keys.layers", "observation", "ours", TOKENS)
def layers(tokens: pd.DataFrame) -> Judgement:
    """From layer 5 on, a real model's own keys certify at least 90 % of the tokens of every layer
    at the median norm of its queries, on three of four kinds of text.
    """
    late = shares(tokens, "p50").loc[FROM:]
    least, means = late.min(), late.mean()
    said = ", ".join(f"{kind} {means[kind]:.3f} ({least[kind]:.3f})" for kind in late.columns)
    return judge(
        int((least >= SHARE).sum()) >= KINDS and late.shape[1] >= 4,
        f"{len(late)} layers; mean share of certified tokens by kind (its least layer): {said}",
    )


@claim("own-keys.longer", "observation", "ours", TOKENS)
def longer(tokens: pd.DataFrame) -> Judgement:
    """A longer norm certifies no token less, and at the 90 % norm the keys certify at least 95 % of
    the tokens from layer 5 on.
    """
    heads = tokens.pivot_table(
        index=["kind", "text", "layer", "head"], columns="quantile", values="certified"
    )
    fewer = int((heads["p90"] < heads["p50"]).sum())
    share = float(shares(tokens, "p90").loc[FROM:].to_numpy().mean())
    return judge(
        fewer == 0 and share >= LONGER,
        f"{len(heads)} heads on texts; fewer tokens at the longer norm: {fewer}; mean share from "
        f"layer {FROM} on {share:.3f}",
    )


@claim("own-keys.bits", "observation", "ours", PRECISION)
def bits(precision: pd.DataFrame) -> Judgement:
    """Under an additive error of .01 a number of a certified cache carries at least 4 of the 5.64
    bits that the error leaves apart, on the mean of heads from layer 5 on, on three of four kinds
    of text.
    """
    means = _late(precision, 0.01)
    said = ", ".join(f"{kind} {mean:.2f}" for kind, mean in means.items())
    return judge(
        int((means >= BITS).sum()) >= KINDS and len(means) >= 4,
        f"mean bits a number at gamma = .01 and the median norm: {said}",
    )


@claim("own-keys.precision", "observation", "ours", PRECISION)
def precision(rows: pd.DataFrame) -> Judgement:
    """The bound grows with the precision asked for: a tenth of the error costs at least 2 bits a
    number more (3.32 at most), and never fewer.
    """
    more = _late(rows, 0.001) - _late(rows, 0.01)
    by = rows.pivot_table(
        index=["kind", "text", "layer", "head"], columns="gamma", values="bits"
    ).sort_index(axis=1)
    falls = int((by.diff(axis=1).iloc[:, 1:] > 1e-9).any(axis=1).sum())
    above = int((rows["bits"] > rows["most"] + 1e-9).sum())
    return judge(
        bool((more >= MORE).all()) and falls == 0 and above == 0,
        f"bits a number more at .001 than at .01, by kind: {more.min():.2f} to {more.max():.2f}; "
        f"heads in which a smaller error costs less: {falls}; above what suffices: {above}",
    )


def _late(rows: pd.DataFrame, gamma: float) -> pd.Series:
    late = rows[(rows["layer"] >= FROM) & (rows["kind"] != "explicit") & (rows["gamma"] == gamma)]
    means: pd.Series = late.groupby("kind")["bits"].mean()
    return means


@claim("own-keys.exact", "observation", "ours", PLAYED)
def exact(played: pd.DataFrame) -> Judgement:
    """On a model's own keys a full float32 cache is read without error."""
    full = played[played["setting"] == "exact dtype=fp32"]
    bits_read = int((full["secret_rows"] * full["messages"]).sum()) * 64
    return judge(
        bool((full["most"] == 0).all()) and len(full) >= 4,
        f"{len(full)} heads on texts, {bits_read} bits; largest error of a message "
        f"{full['most'].max():g}",
    )


@claim("own-keys.dropped", "observation", "ours", PLAYED)
def dropped(played: pd.DataFrame) -> Judgement:
    """Who drops half of the tokens loses the bits of half of them on these keys as well: errors of
    .2 to .3.
    """
    halves = played[played["setting"].isin(["sliding-window 1/2", "streaming-llm 1/2"])]
    errors, (low, high) = halves["bit_error"], HALF_DROPPED
    return judge(
        bool(errors.between(low, high).all()) and len(halves) >= 8,
        f"{len(halves)} points; errors {errors.min():.3f} to {errors.max():.3f}",
    )


@claim("own-keys.fano", "Theorem 5", "ours", PLAYED)
def fano(played: pd.DataFrame) -> Judgement:
    """No compressor on these keys has fewer bits than its error allows, M/N >= 1 - h(e)."""
    slack = played["bits_per_secret_bit"] - played["bit_error"].map(
        lambda e: fano_rate(min(e, 0.5))
    )
    short = played[played["bits_per_secret_bit"] < 1]
    return judge(
        bool((slack >= 0).all()) and len(short) > 0,
        f"{len(played)} points, the nearest at {slack.min():.3f} bits above the line; a cheat "
        f"without an error would lie below it at {len(short)} of them ({HALF})",
        decided=len(short) > 0 or not bool((slack >= 0).all()),
    )


@claim("own-keys.caches", "observation", "ours", POINTS)
def caches(points: pd.DataFrame) -> Judgement:
    """Caches of 2 to 16 bits a number hold at least as many bits as the bound of these keys asks at
    the error that nine in ten of their answers keep to.
    """
    ratio = points["bits_a_number"] / points["bound_a_number"].clip(lower=1e-9)
    asked = points[points["bound_a_number"] > 0]
    nearest = asked.loc[ratio[asked.index].idxmin()] if len(asked) else None
    near = (
        f"; the nearest, {nearest['setting']}, holds {nearest['bits_a_number']:.2f} bits where "
        f"{nearest['bound_a_number']:.2f} are asked for at gamma = {nearest['gamma']:.1e}"
        if nearest is not None
        else ""
    )
    return judge(
        bool((ratio >= 1).all()) and len(asked) > 0,
        f"{len(points)} points of {points['setting'].nunique()} caches{near}",
        decided=len(asked) > 0,
    )
