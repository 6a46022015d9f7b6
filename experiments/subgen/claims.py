"""What the tables of SubGen decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..kit.experiment import Judgement, claim, judge
from .measure import (
    CONSTANTS,
    DRAWS,
    GROWTH,
    GUARANTEE,
    INDEX,
    LEVEL,
    MEMORY,
    MEMORY_CONSTANT,
    SUCCESS,
    TIGHT,
)

if TYPE_CHECKING:
    import pandas as pd


@claim("subgen.guarantee", "Theorem 11", "reconstructed", GUARANTEE)
def guarantee(table: pd.DataFrame) -> Judgement:
    """On clusterable keys ||z - Attn||_2 <= eps ||softmax||_2 ||V||_op in at least 99 % of the
    runs, with four times the theorem's t and s (the constant in its O() is ours).
    """
    table = table[table["stream"] == "clusterable"]
    bare, four = (table[table["constant"] == constant] for constant in CONSTANTS)
    holds = bool((four["low"] >= SUCCESS).all())
    broken = bool((four["high"] < SUCCESS).any())
    return judge(
        holds,
        f"constant 4: {int(four['within'].sum())} of {int(four['runs'].sum())} independent runs "
        f"within eps, {len(four)} values of eps; exact {100 * LEVEL:g} % interval of the share "
        f"from {four['low'].min():.4f} on; constant 1: share {bare['share'].min():.2f} to "
        f"{bare['share'].max():.2f}, at most {bare['high'].max():.2f}",
        decided=holds or broken,
    )


@claim("subgen.clusterable", "observation", "ours", GROWTH, preregistered=False)
def clusterable(table: pd.DataFrame) -> Judgement:
    """On clusterable streams SubGen's memory stops growing with n; on uniform keys of the sphere it
    grows with n.
    """
    means = table.groupby(["stream", "n"])["bits"].mean()
    few, all_n = means["clusterable"], means["uniform"]
    flat = few.iloc[-1] / few.iloc[-3] - 1
    slope = float(np.polyfit(np.log(all_n.index[-3:]), np.log(all_n.iloc[-3:]), 1)[0])
    most = table[(table["stream"] == "clusterable")]["m"].max()
    return judge(
        abs(flat) <= 0.01 and slope >= 0.8,
        f"n = {all_n.index[-3]} to {all_n.index[-1]}: clusterable {100 * flat:+.2f} % (at most "
        f"{most} clusters), uniform slope {slope:.3f}; {DRAWS} independent streams a point",
    )


@claim("subgen.memory", "Theorem 15", "reconstructed", MEMORY)
def memory(table: pd.DataFrame) -> Judgement:
    """In the unit ball, at sizes where (19) is below the cache, SubGen's memory is below (19),
    grows with n no faster than ln n times its clusters, and every answer tried is within eps.
    """
    telling = table[table["upper_bits"] < table["cache_bits_32"]]
    over = int((telling["bits"] > telling["upper_bits"]).sum())
    far = int((table["error"] > table["eps"]).sum())
    room = float((telling["upper_bits"] / telling["bits"]).min())
    cache = telling["cache_bits_32"] / telling["upper_bits"]
    line = table[table["d"] == table["d"].min()].groupby("n")["bits"].mean()
    grown, longer = line.iloc[-1] / line.iloc[0], line.index[-1] / line.index[0]
    # t is a multiple of ln n, and the number of clusters differs from stream to stream.
    spread = table[table["d"] == table["d"].min()].groupby("n")["m"].mean()
    most = np.log(line.index[-1]) / np.log(line.index[0]) * spread.iloc[-1] / spread.iloc[0]
    return judge(
        over == 0 and far == 0 and len(telling) == len(table) and grown <= 1.01 * most,
        f"{len(table)} independent streams, d = {table['d'].min()} to {table['d'].max()}, (19) "
        f"with its numbers counted at constant {MEMORY_CONSTANT:g} (ours) "
        f"{cache.min():.1f} to {cache.max():.0f} "
        f"times below the cache: {over} states above it, {far} answers beyond eps = "
        f"{table['eps'].iloc[0]:g} (largest {table['error'].max():.2f}); n {longer:.0f} times "
        f"larger, bits {grown:.2f} times (ln n and the clusters: {most:.2f}); a state "
        f"{room:.2f} times as large would fail",
    )


@claim("subgen.tight", "Theorem 15", "ours", TIGHT)
def tight(table: pd.DataFrame) -> Judgement:
    """On n tokens that repeat the keys certified at R = d, SubGen's state (delta = 0, eps = 1, t =
    4 ln n) has at most 32 (t + 8)/(1 - h(1/10)) times the bits that are certified there, for
    another notion of error: d e^Theta(d) both, up to log n.
    """
    d, N, t = table["d"], table["certified_tokens"], table["t"]
    ratio = table["bits"] / table["lower_bits"]
    # Numbers over N d: t + 1 keys, 1 count, 4 for the pairs (s 2d = 8 d^2, N >= 2d), 2 others.
    most = table["cache_bits_32"] / table["n"] / d / 2 * (t + 8) * N * d / table["lower_bits"]
    last = table[table["n"] >= 0.9 * table["n"].max()].sort_values("d")
    slopes = [
        float(np.polyfit(last["d"], np.log(last[name] / last["d"]), 1)[0])
        for name in ("lower_bits", "bits")
    ]
    return judge(
        bool((ratio >= 1).all() and (ratio <= most).all() and (table["m"] == N).all())
        and bool((table["bits"] < table["cache_bits_32"]).all())
        and min(slopes) > 0,
        f"{len(table)} streams, d = {d.min()} to {d.max()}, n = {table['n'].min():,} to "
        f"{table['n'].max():,}: {table['lower_bits'].min():.0f} to {table['lower_bits'].max():,.0f}"
        f" bits certified at eta = 1/2, SubGen's state {ratio.min():,.0f} to {ratio.max():,.0f} "
        f"times as large, {(ratio / most).max():.2f} of what is allowed at most, and up to "
        f"{(table['cache_bits_32'] / table['bits']).max():,.0f} times below the cache; per "
        f"dimension ln(certified bits/d) grows by {slopes[0]:.3f} and ln(state/d) by "
        f"{slopes[1]:.3f}; a cluster in eight too many would fail",
    )


@claim("subgen.index", "observation", "ours", INDEX)
def index(table: pd.DataFrame) -> Judgement:
    """On the Index instance, with delta below the keys' least distance, every key is a cluster of
    its own, so SubGen pays for all keys of the full cache.
    """
    single = bool((table["m"] == table["n"]).all())
    share = float((table["bits"] / table["cache_bits_32"]).min())
    parts = [
        f"s = {s}n: bit error {rows['bit_error'].min():.3f} to {rows['bit_error'].max():.3f}"
        for s, rows in table.groupby("pairs_per_token")
    ]
    return judge(
        single and share >= 1.0,
        f"m = n in all {int(table['messages'].sum())} messages on "
        f"{len(table.groupby(['keys', 'n', 'd']))} instances, at least {share:.2f} times the "
        "float32 cache; " + ", ".join(parts),
    )
