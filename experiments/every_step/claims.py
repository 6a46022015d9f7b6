"""What the tables about every time step decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..kit.experiment import Judgement, claim, judge
from .measure import GRID, TIMES

if TYPE_CHECKING:
    import pandas as pd


@claim("steps.joint", "Theorem 1", "reconstructed", GRID)
def joint(table: pd.DataFrame) -> Judgement:
    """At query norm R = d and eta = 1/2 the certified bits of n tokens in d dimensions lie between
    d min{n, 1/(4 rho E)} and d min{n, (1 + 1/rho)/E} (ours), E = E e^{R(u-1)} = e^{-Theta(d)}: d
    min{n, e^Theta(d)} in n and d at once.
    """
    inside = (table["least"] <= table["bits"]) & (table["bits"] <= table["most"])
    ends = table[table["n"] == table["n"].max()].sort_values("d")
    capped = ends[ends["tokens"] < ends["n"]]
    slope, theory = (
        float(np.polyfit(capped["d"], values, 1)[0])
        for values in (np.log(capped["tokens"]), capped["exponent"])
    )
    free = int((table["tokens"] == table["n"]).sum())
    room = (capped["most"] / capped["bits"]).min(), (capped["bits"] / capped["least"]).min()
    return judge(
        bool(inside.all()) and len(capped) >= 5 and free >= 5,
        f"{len(table)} pairs (n, d), d = {table['d'].min()} to {table['d'].max()}, n to "
        f"{table['n'].max():,}: {int(inside.sum())} between the two; n is the less at {free} of "
        f"them, e^Theta(d) at {len(table) - free}, where ln N grows by {slope:.3f} a dimension "
        f"and ln(1/E) by {theory:.3f}; {room[0]:.2f} times as many tokens, or {room[1]:.2f} times "
        "fewer, would be seen",
    )


@claim("steps.times", "Theorem 1", "reconstructed", TIMES)
def times(table: pd.DataFrame) -> Judgement:
    """Whenever Bob comes to one stream, all d min{t, N} bits hidden so far are read from answers
    within 1 +- eta; a cache that merges equal keys has a constant times as many bits then, and none
    has fewer than it answers.
    """
    from ...protocols.evidence.ledger import LINE_BITS, surprise_bits
    from ...reductions.bounds import fano_rate

    right = table[table["compressor"] != "window"]
    wrong = int(right[["wrong", "wrong_moved"]].to_numpy().sum())
    merged = table[table["compressor"] == "merged"]
    ratio = merged["charged_bits"] / (fano_rate(0.1) * merged["asked"])
    # A key, a sum and a count for each token and one for the zeros, and a length's 2 log2 + 1.
    most = (32 * (2 * merged["d"] + 1) * (merged["asked"] / merged["d"] + 1) + 40) / (
        fano_rate(0.1) * merged["asked"]
    )
    surprise = surprise_bits(table["asked"], table["charged_bits"], table["wrong"])
    free = surprise_bits(right["asked"], 0 * right["asked"], right["wrong"]) >= LINE_BITS
    return judge(
        wrong == 0 and bool((ratio >= 1).all() and (ratio <= most).all())
        and bool((surprise < LINE_BITS).all()),
        f"{_moments(table)}: {wrong} of {2 * int(right['asked'].sum()):,} bits wrong, answers as "
        f"they are and moved by .999 eta; the merged state is {ratio.min():.0f} to "
        f"{ratio.max():.0f} times d min(t, N) (1 - h(1/10)) at every moment, N = "
        f"{', '.join(str(N) for N in sorted(table['certified_tokens'].unique()))}; no state is "
        f"impossible at any (an empty one that answered so would be at {int(free.sum())} of "
        f"{len(free)})",
    )  # fmt: skip


@claim("steps.window", "observation", "ours", TIMES)
def window(table: pd.DataFrame) -> Judgement:
    """A window of 64 tokens is right up to a time and not after it: once all hidden tokens have
    left it every bit is read as 0, so the guarantee at some time steps is not the theorem's.
    """
    rows = table[table["compressor"] == "window"]
    early, late = rows[rows["lost"] == 0], rows[rows["lost"] == rows["asked"]]
    wrong = int(early["wrong"].sum())
    off = int((late["wrong"] != late["ones_lost"]).sum())
    return judge(
        wrong == 0 and off == 0 and len(early) > 0 and len(late) > 0,
        f"{_moments(rows)}: at {len(early)} nothing has left the window, and {wrong} of "
        f"{int(early['asked'].sum()):,} bits are wrong; at {len(late)} all hidden tokens have, and "
        f"{late['wrong'].sum() / late['asked'].sum():.3f} are: the ones, exactly, at all but {off}",
    )


def _moments(table: pd.DataFrame) -> str:
    return (
        f"{len(table)} moments of {int(table.groupby('d')['message'].nunique().sum())} independent "
        f"streams of {int(table['n'].max()):,} tokens, d = {table['d'].min()} to {table['d'].max()}"
    )
